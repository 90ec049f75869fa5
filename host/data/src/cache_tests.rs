use proptest::prelude::*;

use retune_roles::digest::Digest;

use super::*;

fn sample() -> (Account, Vec<Row>) {
    let account = Account {
        read: 3,
        limited: 0,
        added: 1,
        dropped: vec![Dropped {
            stage: "dedup".into(),
            reason: "duplicate".into(),
            count: 1,
            keys: vec!["t:4".into()],
        }],
    };
    let row = Row { line: Some(2), class: Some(7), ..crate::split::tests::row("t.csv:2", [9; 16]) };
    (account, vec![row])
}

#[test]
fn what_is_stored_is_found_under_its_key_and_no_other() {
    let directory = tempfile::tempdir().unwrap();
    let cache = Cache::new(&directory.path().join("not/there/yet"));
    let (account, rows) = sample();
    let key = Digest::default().part("a", "1").finish();
    assert_eq!(cache.load(&key), Found::Absent);
    cache.store(&key, &account, &rows).unwrap();
    assert_eq!(cache.load(&key), Found::Whole(account, rows));
    let other = Digest::default().part("a", "2").finish();
    assert_eq!(cache.load(&other), Found::Absent);
    std::fs::copy(cache.path(&key), cache.path(&other)).unwrap();
    assert_eq!(cache.load(&other), Found::Damaged, "a file under another key is not its result");
}

#[test]
fn every_single_changed_byte_and_every_cut_is_noticed() {
    let (account, rows) = sample();
    let bytes = encode("k", &account, &rows).unwrap();
    assert!(decode("k", &bytes).is_some());
    for at in 0..bytes.len() {
        let mut changed = bytes.clone();
        changed[at] ^= 0x40;
        assert!(decode("k", &changed).is_none(), "byte {at}");
        assert!(decode("k", &bytes[..at]).is_none(), "cut at {at}");
    }
}

#[test]
fn parts_of_a_key_do_not_run_into_each_other() {
    let key = |parts: &[(&str, &str)]| parts.iter().fold(Digest::default(), |key, (n, v)| key.part(n, v)).finish();
    assert_ne!(key(&[("a", "bc")]), key(&[("ab", "c")]));
    assert_ne!(key(&[("a", "b"), ("c", "d")]), key(&[("a", "bc"), ("", "d")]));
    assert_eq!(key(&[("a", "b")]), key(&[("a", "b")]));
}

proptest! {
    #[test]
    fn rows_survive_the_cache_bit_for_bit(
        ids in prop::collection::vec(any::<u32>(), 0..20),
        types in prop::collection::vec(any::<u8>(), 0..20),
        extra in prop::collection::vec(any::<f32>().prop_filter("equal to itself", |f| !f.is_nan()), 0..4),
        flags in any::<[bool; 4]>(),
        (key, line, class, prompt_tokens) in (".{0,20}", any::<Option<u64>>(), any::<Option<u32>>(), any::<u32>()),
        text in any::<[u8; 16]>(),
    ) {
        let [truncated, doubled_bos, empty, seam] = flags;
        let row = Row {
            key, line, input_ids: ids, token_type_ids: types, prompt_tokens, class, extra, text, truncated,
            doubled_bos, empty, seam,
        };
        let rows = vec![row.clone(), row];
        let bytes = encode("k", &Account::default(), &rows).unwrap();
        prop_assert_eq!(decode("k", &bytes), Some((Account::default(), rows)));
    }
}

//! Prepared rows that are taken from the cache, and when they are made anew.

use super::*;
use crate::cache::Cache;
use crate::{CacheUse, SourceReport};

#[test]
fn a_second_run_takes_its_rows_from_the_cache_and_anything_that_matters_makes_them_anew() {
    let directory = Directory::new();
    directory.write("train.csv", intents(60, 0));
    directory.write("test.csv", intents(9, 100));
    let mut spec = spec(&directory);
    spec.cache_dir = Some(directory.path().join("cache"));
    spec.validation = Validation::Split { fraction: 0.1 };
    spec.test = Some(directory.path().join("test.csv").into());
    let states = |prepared: &Prepared| -> Vec<&'static str> {
        let state = |source: &SourceReport| match source.cache {
            CacheUse::Hit { .. } => "hit",
            CacheUse::Miss { .. } => "miss",
            CacheUse::Rebuilt { .. } => "rebuilt",
            CacheUse::Off { .. } => "off",
        };
        prepared.report.sources.iter().map(state).collect()
    };
    let stages = [without("four", true)];
    let first = run(&spec, &stages).unwrap();
    assert_eq!(states(&first), ["miss", "miss"]);
    let second = run(&spec, &stages).unwrap();
    assert_eq!(states(&second), ["hit", "hit"]);
    let rows = |prepared: &Prepared| {
        [Some(&prepared.train), Some(&prepared.validation), prepared.test.as_ref()]
            .map(|data| data.map(Dataset::to_vec))
    };
    let expected = rows(&first);
    assert_eq!(expected, rows(&second));
    assert_eq!(first.report.splits, second.report.splits);
    assert_eq!(first.report.sources[0].dropped, second.report.sources[0].dropped);

    assert_eq!(states(&run(&spec, &[without("five", true)]).unwrap()), ["miss", "miss"], "another stage");
    spec.max_length = 9;
    assert_eq!(states(&run(&spec, &stages).unwrap()), ["miss", "miss"], "another length");
    spec.max_length = 16;
    spec.workers = 3;
    assert_eq!(states(&run(&spec, &stages).unwrap()), ["hit", "hit"], "workers change nothing");
    spec.limit_per_label = Some(5);
    assert_eq!(states(&run(&spec, &stages).unwrap()), ["miss", "hit"], "the limit concerns train only");
    spec.limit_per_label = None;
    directory.write("test.csv", intents(10, 100));
    assert_eq!(states(&run(&spec, &stages).unwrap()), ["hit", "miss"], "other bytes");
    let off = run(&spec, &[without("four", false)]).unwrap();
    assert_eq!(states(&off), ["off", "off"]);

    let CacheUse::Hit { key } = &second.report.sources[0].cache else { panic!() };
    let path = Cache::new(&directory.path().join("cache")).path(key);
    // Under another name: what a run has mapped is never written to.
    let mut bytes = std::fs::read(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    let rebuilt = run(&spec, &stages).unwrap();
    assert_eq!(states(&rebuilt), ["rebuilt", "hit"]);
    assert_eq!(rebuilt.train.to_vec(), expected[0].clone().unwrap());
    assert!(rebuilt.report.warnings.iter().any(|w| w.contains("damaged")), "{:?}", rebuilt.report.warnings);
    assert_eq!(states(&run(&spec, &stages).unwrap()), ["hit", "hit"]);
}

#[test]
fn a_cache_that_cannot_be_written_is_a_warning_and_not_the_end() {
    let directory = Directory::new();
    directory.write("train.csv", intents(30, 0));
    let mut spec = spec(&directory);
    spec.cache_dir = Some(directory.write("a-file", ""));
    let prepared = run(&spec, &[]).unwrap();
    assert!(matches!(prepared.report.sources[0].cache, CacheUse::Off { .. }));
    assert!(prepared.report.warnings[0].starts_with("prepared rows are not kept"), "{:?}", prepared.report.warnings);
}

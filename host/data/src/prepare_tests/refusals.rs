//! What is said when rows cannot be prepared.

use std::fmt::Write as _;

use super::*;
use crate::spec::Layout;

#[test]
fn nothing_left_says_which_stage_dropped_how_many_and_why() {
    let directory = Directory::new();
    directory.write("train.csv", intents(30, 0));
    let error = run(&spec(&directory), &[without("four", true), without("everything", true)]).unwrap_err();
    insta::assert_snapshot!(format!("{error}\n{}", error.help().unwrap()), @r#"
    nothing is left of train.csv: of 30 rows, without-everything dropped 27 (unwanted), without-four dropped 3 (unwanted)
    look at the first rows that without-everything dropped: train.csv:2, train.csv:3, train.csv:4, train.csv:6, train.csv:7
    "#);
}

#[test]
fn what_a_recipe_can_get_wrong_is_said_before_anything_is_trained() {
    let directory = Directory::new();
    directory.write("train.csv", intents(30, 0));
    directory.write("test.csv", "text,category\nmy card,card_arrival\nmy card,lost_crad\n");
    directory.write("unlabelled.csv", "text,category\nmy card,\n");
    directory.write("one-label.csv", "text,category\nmy card,a\nthe card,a\n");
    directory.write("header.csv", "text,category\n");
    directory.write("weights.csv", "text,category,weight\nmy card,a,1\nthe card,b,heavy\n");
    directory.write("rows.jsonl", "{\"body\": \"my card\", \"category\": \"a\"}\n");
    directory
        .write("nested.jsonl", "{\"text\": [\"my\"], \"category\": \"a\"}\n{\"text\": \"x\", \"category\": \"b\"}\n");
    let mut said_so = String::new();
    let mut check = |what: &str, change: &dyn Fn(&mut DataSpec)| {
        let mut spec = spec(&directory);
        change(&mut spec);
        let error = run(&spec, &[]).unwrap_err();
        let _ = writeln!(said_so, "{what}: {}", said(&directory, &error));
        if let Some(help) = error.help() {
            let _ = writeln!(said_so, "    {help}");
        }
    };
    let at = |name: &str| -> Source { directory.path().join(name).into() };
    check("missing train", &|s| s.train = at("tarin.csv"));
    check("missing test", &|s| s.test = Some(at("tests.csv")));
    check("missing column", &|s| s.columns.text = "txt".to_owned());
    check("missing label column", &|s| s.columns.label = Some("intent".to_owned()));
    check("missing column in jsonl", &|s| {
        s.train = at("rows.jsonl");
        s.labels = Some(vec!["a".to_owned(), "b".to_owned()]);
    });
    check("missing extra column", &|s| s.extra_columns = vec!["weight".to_owned()]);
    check("label not in train", &|s| s.test = Some(at("test.csv")));
    check("label not in set", &|s| s.labels = Some(vec!["card_arrival".to_owned(), "lost_card".to_owned()]));
    check("label named twice", &|s| s.labels = Some(vec!["a".to_owned(), "a".to_owned()]));
    check("no label", &|s| s.train = at("unlabelled.csv"));
    check("one label", &|s| s.train = at("one-label.csv"));
    check("no rows", &|s| s.train = at("header.csv"));
    check("no rows with labels given", &|s| {
        s.train = at("header.csv");
        s.labels = Some(vec!["a".to_owned(), "b".to_owned()]);
    });
    check("no number", &|s| {
        s.train = at("weights.csv");
        s.extra_columns = vec!["weight".to_owned()];
    });
    check("nested text", &|s| s.train = at("nested.jsonl"));
    check("no label column named", &|s| s.columns.label = None);
    check("fraction", &|s| s.validation = Validation::Split { fraction: 1.0 });
    check("length", &|s| s.max_length = 2);
    check("limit", &|s| s.limit_per_label = Some(0));
    check("batch", &|s| s.batch = 0);
    check("blocks", &|s| s.layout = Layout::Blocks);
    check("packed", &|s| s.layout = Layout::Packed);
    insta::assert_snapshot!(said_so, @r#"
    missing train: tarin.csv does not exist; did you mean `train.csv`?
        paths in a recipe are relative to the recipe's own directory
    missing test: tests.csv does not exist; did you mean `test.csv`?
        paths in a recipe are relative to the recipe's own directory
    missing column: train.csv:1 has no column `txt` (data.columns.text); did you mean `text`?
        the columns are `text`, `category`; set data.columns.text to one of them
    missing label column: train.csv:1 has no column `intent` (data.columns.label)
        the columns are `text`, `category`; set data.columns.label to one of them
    missing column in jsonl: rows.jsonl:1 has no column `text` (data.columns.text)
        the columns are `body`, `category`; set data.columns.text to one of them
    missing extra column: train.csv:1 has no column `weight` (data.extra_columns)
        the columns are `text`, `category`; set data.extra_columns to one of them
    label not in train: test.csv:3 has the label `lost_crad`, which is not among the labels of train.csv; did you mean `lost_card`?
        the labels are `card_arrival`, `lost_card`, `top_up_failed`; data.labels can name more than train has
    label not in set: train.csv:4 has the label `top_up_failed`, which is not in data.labels
        the labels are `card_arrival`, `lost_card`; data.labels can name more than train has
    label named twice: `data.labels` names `a` twice
    no label: unlabelled.csv:2 has no value in column `category` (data.columns.label)
        give every row a label, or remove the rows without one
    one label: one-label.csv has 1 label; a classification needs at least two
        found: `a`; check that data.columns.label names the right column
    no rows: header.csv has a header and no rows
        check that whatever wrote the file had finished
    no rows with labels given: header.csv has a header and no rows
        check that whatever wrote the file had finished
    no number: weights.csv:3 holds `heavy` in column `weight` (data.extra_columns); expected a finite number
    nested text: nested.jsonl:1 holds nested JSON in column `text` (data.columns.text); expected text
    no label column named: sequence classification needs labels, and `data.columns.label` names no column
        say which column holds them: columns = { text = "…", label = "…" }
    fraction: `data.validation.split` is 1; expected more than 0 and less than 1
    length: `data.max_length` is 2, and the tokenizer's special tokens alone take 2
        set data.max_length to 3 or more
    limit: `data.limit_per_label` is 0; expected at least 1
    batch: `data.batch` is 0; expected 1 to 4096
    blocks: `data.layout` is blocks; expected rows, for a sequence classification
    packed: `data.layout` is packed; expected rows, for a sequence classification
    "#);
}

use super::*;

fn render(source: &str) -> Rendered {
    Template::new(source, BTreeMap::new(), None).unwrap().render(&[Value::from("m")], &Value::from(()), false).unwrap()
}

#[test]
fn marks_are_taken_out_and_leave_whitespace_as_the_tag_asks() {
    let rendered = render("a\n  {% generation %}\nb é{{ messages[0] }}\n  {%- endgeneration %}\n c");
    assert_eq!(rendered.text, "a\nb ém c");
    assert_eq!(rendered.generated.as_slice(), std::slice::from_ref(&(2..7)), "in bytes");
    let two = render("{% for x in [1, 2] %}{%- generation -%} {{ loop.index }} {%- endgeneration -%},{% endfor %}");
    assert_eq!((two.text.as_str(), two.generated), ("1,2,", vec![0..1, 2..3]));
    let inside = render("{%generation%}a{% generation %}b{% endgeneration %}c{%endgeneration%}");
    assert_eq!(
        (inside.text.as_str(), inside.generated.as_slice()),
        ("abc", std::slice::from_ref(&(0..3))),
        "the outer one counts"
    );
}

#[test]
fn what_stands_in_a_generation_sees_and_changes_what_stands_around_it() {
    let source = "{% set ns = namespace(n=1) %}{% for x in [1, 2] %}{% generation %}{% set y = x %}{% set ns.n = ns.n + y %}\
                  {{ ns.n }}{% endgeneration %}{{ y is defined }} {% endfor %}{{ ns.n }}";
    let rendered = render(source);
    assert_eq!((rendered.text.as_str(), rendered.generated), ("2False 4False 4", vec![0..1, 7..8]));
}

#[test]
fn floats_are_written_as_python_writes_them() {
    let source = "{{ 0.00001 }} {{ 1.0 }} {{ 2.5 * 2 }} {{ 1e16|string }} {{ 0.00001|string }} {{ 3 }} {{ 3|string }}";
    assert_eq!(render(source).text, "1e-05 1.0 5.0 1e+16 1e-05 3 3");
}

#[test]
fn a_name_is_no_tag() {
    assert!(!Template::new("{% if generation %}{% endif %}{{ '{% x %}' }}", BTreeMap::new(), None).unwrap().marks());
    assert_eq!(render("{{ '{% x %}' }}{% set generation = 1 %}{{ generation }}").text, "{% x %}1");
}

#[test]
fn what_a_template_refuses_is_told_in_its_own_words_and_what_fails_with_its_line() {
    let wrong = |source: &str| {
        let template = Template::new(source, BTreeMap::new(), None)?;
        template.render(&[], &Value::from(()), false).map(|_| ())
    };
    let raised = wrong("{% macro m() %}{{ raise_exception('no ' ~ 'way') }}{% endmacro %}{{ m() }}");
    assert_eq!(raised, Err(Trouble::Raised("no way".to_owned())));
    assert_eq!(wrong("{{ strftime_now('%Y') }}"), Err(Trouble::Undated));
    assert!(matches!(wrong("\n{{ nothing.at.all }}"), Err(Trouble::Failed { line: 2, .. })));
    assert!(matches!(wrong("\n\n{% for %}"), Err(Trouble::Syntax { line: 3, .. })));
}

fn failed(source: &str) -> String {
    let template = Template::new(source, BTreeMap::new(), None).unwrap();
    match template.render(&[Value::from("m")], &Value::from(()), false) {
        Err(Trouble::Failed { reason, .. }) => reason,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_template_without_an_end_is_stopped_by_its_steps_or_by_what_it_makes() {
    let endless = "it does not come to an end within 2097152 steps and 128 MiB for one conversation";
    let all = "{% for a in range(9999) %}{% for b in range(9999) %}{% for c in range(9999) %}";
    let ends = "{% endfor %}{% endfor %}{% endfor %}";
    assert_eq!(failed(&format!("{all}{ends}")), endless, "loops that write nothing");
    let doubled = |by: &str| {
        format!(
            "{{% set ns = namespace(x='xxxxxxxxxxxxxxxx') %}}{{% for i in range(60) %}}{{% set ns.x = {by} %}}{{% endfor %}}"
        )
    };
    for by in [
        "ns.x ~ ns.x",
        "ns.x + ns.x",
        "ns.x * 2",
        "ns.x|replace('x', 'xx')",
        "[ns.x, ns.x]|join",
        "ns.x.replace('x', 'xx')",
    ] {
        let told = failed(&doubled(by));
        assert!(told == endless || told.contains("too large"), "{by}: {told}");
    }
    let lists = "{% set ns = namespace(x=[1]) %}{% for i in range(60) %}{% set ns.x = [ns.x, ns.x] %}{% endfor %}";
    for written in ["{{ ns.x }}", "{{ ns.x|tojson }}", "{{ ns.x|string|length }}"] {
        assert_eq!(failed(&format!("{lists}{written}")), endless, "{written}");
    }
    assert!(!failed("{% macro m(n) %}{{ m(n) }}{{ m(n) }}{% endmacro %}{{ m(1) }}").is_empty());
    for large in ["'a' * 1000000000", "'a' * 1000000000000000000", "range(1000000000)|list", "'a'.ljust(100000000000)"]
    {
        assert!(!failed(&format!("{{% set x = {large} %}}{{{{ x }}}}")).is_empty(), "{large}");
    }
    assert!(failed("{{ [1]|tojson(indent=1000000000000000000) }}").starts_with("indent is not a number of spaces"));
}

#[test]
fn lists_in_one_another_without_bounds_are_refused_where_they_are_written_and_forgotten_without_harm() {
    let deep = "{% set ns = namespace(x=[1]) %}{% for i in range(100000) %}{% set ns.x = [ns.x] %}{% endfor %}";
    assert!(failed(&format!("{deep}{{{{ ns.x }}}}")).contains("more than 100 deep"));
    assert_eq!(render(&format!("{deep}x")).text, "x");
}

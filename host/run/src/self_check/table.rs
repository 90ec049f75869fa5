//! Findings as lines that people read: one for each check, with the worst of the models or cases for which it was made, and each
//! of those that failed.

use super::Finding;

/// Width of the name of a check.
const NAMES: usize = 62;
/// How many that failed are named of a check.
const NAMED: usize = 8;

/// What stands above the lines of [`table`].
pub fn header() -> String {
    format!("{:<NAMES$} {:>5} {:>10} {:<8} {:>8}  result", "compared", "of", "largest", "", "at most")
        .trim_end()
        .to_owned()
}

/// One line for each check, in the order in which they were first made.
pub fn table(findings: &[Finding]) -> Vec<String> {
    let mut checks: Vec<&str> = Vec::new();
    for finding in findings {
        if !checks.contains(&finding.check.as_str()) {
            checks.push(&finding.check);
        }
    }
    checks
        .into_iter()
        .flat_map(|check| of_one(findings.iter().filter(|finding| finding.check == check).collect()))
        .collect()
}

/// All findings have the same check.
fn of_one(findings: Vec<&Finding>) -> Vec<String> {
    // What is no number is worse than any.
    let weight = |finding: &Finding| if finding.value.is_nan() { f64::INFINITY } else { finding.value };
    let Some(worst) = findings.iter().max_by(|a, b| weight(a).total_cmp(&weight(b))) else { return Vec::new() };
    let failed: Vec<&&Finding> = findings.iter().filter(|finding| !finding.holds()).collect();
    let several = findings.len() > 1;
    let bound = worst.at_most.map_or(String::new(), number);
    let result = match (worst.at_most, failed.len()) {
        (None, 0) => String::new(),
        (_, 0) => "ok".to_owned(),
        (_, count) if several => format!("FAILED: {count} of {}", findings.len()),
        _ => "FAILED".to_owned(),
    };
    let count = if several { findings.len().to_string() } else { String::new() };
    let (check, value, unit) = (&worst.check, number(worst.value), worst.unit);
    let line = format!("{check:<NAMES$} {count:>5} {value:>10} {unit:<8} {bound:>8}  {result}");
    let named = failed.iter().filter(|finding| !finding.of.is_empty());
    let mut lines: Vec<String> = std::iter::once(line.trim_end().to_owned())
        .chain(named.take(NAMED).map(|finding| format!("    {}: {}", finding.of, number(finding.value))))
        .collect();
    if failed.len() > NAMED {
        lines.push(format!("    and {} more", failed.len() - NAMED));
    }
    lines
}

/// Three digits that matter.
fn number(value: f64) -> String {
    match value.abs() {
        0.0 => "0".to_owned(),
        size if (0.001..100_000.0).contains(&size) => format!("{value:.4}"),
        size if size.is_finite() => format!("{value:.1e}"),
        _ => "no number".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_check_is_a_line_with_its_worst_case_and_every_failure_is_named() {
        let mut findings = vec![
            Finding::rate("matmul float32, 512 wide", 0.1234, "TFLOP/s"),
            Finding::difference("logits beside transformers", "gpt2", 3e-6, 1e-4),
            Finding::bounded("kernel: exp(x) + 1", 0.0, "", 1e-5),
            Finding::difference("logits beside transformers", "gemma2", 0.25, 1e-4),
            Finding::difference("logits beside transformers", "phi3", f64::NAN, 1e-4),
        ];
        findings.extend((0..10).map(|i| Finding::difference("attention", format!("case {i}"), 1.0, 1e-4)));
        findings.extend((0..2).map(|i| Finding::difference("loss", format!("case {i}"), 1e-9, 1e-4)));
        let lines = std::iter::once(header()).chain(table(&findings)).collect::<Vec<_>>().join("\n");
        insta::assert_snapshot!(lines, @"
        compared                                                          of    largest           at most  result
        matmul float32, 512 wide                                                 0.1234 TFLOP/s
        logits beside transformers                                         3  no number            1.0e-4  FAILED: 2 of 3
            gemma2: 0.2500
            phi3: no number
        kernel: exp(x) + 1                                                            0            1.0e-5  ok
        attention                                                         10     1.0000            1.0e-4  FAILED: 10 of 10
            case 0: 1.0000
            case 1: 1.0000
            case 2: 1.0000
            case 3: 1.0000
            case 4: 1.0000
            case 5: 1.0000
            case 6: 1.0000
            case 7: 1.0000
            and 2 more
        loss                                                               2     1.0e-9            1.0e-4  ok
        ");
    }
}

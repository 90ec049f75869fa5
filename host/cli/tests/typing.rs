//! `retune chat` in a terminal: what a person types and stops.

#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::panic)]

mod support;

use serde_json::Value;
use support::terminal::Terminal;
use support::{command, folder, retune};
use tempfile::TempDir;

const ENTER: &str = "\r";
const CTRL_C: &str = "\u{3}";
const CTRL_D: &str = "\u{4}";

/// A conversation in a window so many columns wide, where the first question is waited for.
fn chat(folder: &TempDir, columns: u16, tokens: &str, arguments: &[&str]) -> Terminal {
    let mut command = command(folder);
    command.args(["chat", "tuned", "--max-new-tokens", tokens]).args(arguments).env_remove("NO_COLOR");
    let mut terminal = Terminal::run(command, columns);
    terminal.until_asked();
    terminal
}

/// What `model` answers to a message, as a terminal shows it.
fn answer(folder: &TempDir, model: &str, message: &str) -> String {
    let said = retune(folder, &["generate", model, "--json", "--max-new-tokens", "6", "-p", message], "");
    let answer: Value = serde_json::from_str(&said.out).unwrap();
    let text = answer["text"].as_str().unwrap().replace(|c: char| c.is_control() && c != '\n' && c != '\t', "\u{fffd}");
    text.replace('\r', "")
}

/// The next answer of `name` on the screen.
fn shown(terminal: &mut Terminal, name: &str) -> String {
    terminal.until(&format!("\n{name}: "));
    let text = terminal.until("          6 tokens, the first after");
    text.lines().take_while(|line| !line.starts_with("          cut")).collect::<Vec<_>>().join("\n")
}

#[test]
fn ctrl_c_stops_an_answer_and_twice_without_one_the_program() {
    let folder = folder();
    // So many tokens that the answer is not over before it is stopped.
    let config = folder.path().join("tuned/config.json");
    let text = std::fs::read_to_string(&config).unwrap().replace("160", "200000");
    std::fs::write(&config, text).unwrap();
    let mut terminal = chat(&folder, 80, "100000", &[]);
    terminal.keys(&format!("Hello{ENTER}"));
    terminal.until("\nmodel: ");
    terminal.keys(CTRL_C);
    terminal.until("          stopped");
    terminal.until_asked();
    terminal.keys(CTRL_C);
    terminal.until("once more, or /quit, ends the conversation");
    terminal.until_asked();
    terminal.keys(&format!("/help{ENTER}"));
    terminal.until("/system TEXT");
    terminal.until_asked();
    terminal.keys(CTRL_C);
    terminal.until("once more, or /quit, ends the conversation");
    terminal.until_asked();
    terminal.keys(CTRL_C);
    assert_eq!(terminal.end().1, 0);
}

#[test]
fn what_is_pasted_is_one_message_and_ctrl_d_ends_the_conversation() {
    let folder = folder();
    let mut terminal = chat(&folder, 80, "6", &[]);
    terminal.keys("\u{1b}[200~What is up\rwith this?\u{1b}[201~");
    terminal.keys(ENTER);
    assert_eq!(shown(&mut terminal, "model"), answer(&folder, "tuned", "What is up\nwith this?"));
    terminal.until_asked();
    terminal.keys(CTRL_D);
    assert_eq!(terminal.end().1, 0);
}

#[test]
fn two_models_answer_in_a_narrow_window_and_a_slip_is_told_without_colour_where_none_is_wanted() {
    let folder = folder();
    let mut terminal = chat(&folder, 20, "6", &["--compare", "--base", "base"]);
    terminal.keys(&format!("What is up with all of this?{ENTER}"));
    for (name, model) in [("base", "base"), ("tuned", "tuned")] {
        assert_eq!(shown(&mut terminal, name), answer(&folder, model, "What is up with all of this?"));
    }
    terminal.until_asked();
    terminal.keys(&format!("/quit{ENTER}"));
    assert_eq!(terminal.end().1, 0);

    for (color, colored) in [("1", false), ("", true)] {
        let mut command = command(&folder);
        command.args(["chat", "tuned"]).env("NO_COLOR", color);
        let mut terminal = Terminal::run(command, 80);
        terminal.until_asked();
        terminal.keys(&format!("/rest{ENTER}/quit{ENTER}"));
        let (shown, code) = terminal.end();
        assert!(shown.contains("did you mean `/reset`?"), "{shown}");
        assert_eq!((shown.contains("\u{1b}[31m"), code), (colored, 0), "{shown:?}");
    }
}

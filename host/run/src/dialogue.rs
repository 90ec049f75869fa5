//! A conversation with a model, turn by turn, as long as the model's positions allow.
//!
//! A turn costs what is new in it: what the model has read stays until the conversation says something else at that place, because it
//! begins anew, forgets, or has a template that writes earlier turns in another way.

use std::ops::ControlFlow;

use retune_recipe::diagnostic::{Diagnostic, Result};
use retune_roles::Message;
use retune_train::generation::{Finish, GenerationSpec, NewToken, ReadText};

use crate::speaker::{Answer, Prompt, Speaker};

/// What was said so far, with one model.
#[derive(Clone, Debug, Default)]
pub struct Dialogue {
    system: Option<String>,
    /// From the user and the assistant in turn.
    turns: Vec<Message>,
    /// What the model has read of it.
    read: ReadText,
    /// How often it was asked. Draws differ by it, so that the same question gets another answer after a new beginning.
    asked: usize,
}

/// What a model answered, and how many of the oldest messages it was not shown any more.
#[derive(Clone, Debug, PartialEq)]
pub struct Turn {
    /// The answer.
    pub answer: Answer,
    /// Messages that are forgotten from now on.
    pub forgotten: usize,
}

impl Dialogue {
    /// With what the model is told first.
    pub fn new(system: Option<String>) -> Self {
        Self { system, ..Self::default() }
    }

    /// Begins anew, with another word at first; none: without one.
    pub fn set_system(&mut self, system: Option<String>) {
        self.system = system;
        self.turns.clear();
    }

    /// Forgets what was said.
    pub fn reset(&mut self) {
        self.turns.clear();
    }

    /// What was said so far, with what the model is told first.
    pub fn messages(&self) -> Vec<Message> {
        let system = self.system.iter().map(|text| message("system", text));
        system.chain(self.turns.iter().cloned()).collect()
    }

    /// Says `text` and gets an answer. Where the conversation and an answer exceed the model's positions, the oldest turns are
    /// forgotten. After an error nothing was said.
    ///
    /// # Errors
    /// The text alone is too long, the template refuses it, or the model cannot answer.
    pub fn say(
        &mut self,
        text: &str,
        speaker: &Speaker,
        spec: &GenerationSpec,
        watch: &mut dyn FnMut(&NewToken, &str) -> ControlFlow<()>,
    ) -> Result<Turn> {
        let before = self.turns.clone();
        self.turns.push(message("user", text));
        self.asked += 1;
        let answered = self.fit(speaker, spec).and_then(|(prompt, forgotten)| {
            let answer = speaker.go_on((self.asked - 1, &prompt), &mut self.read, spec, watch)?;
            Ok(Turn { answer, forgotten })
        });
        match &answered {
            // One that was stopped before its first word is as if nothing had been asked.
            Ok(turn) if turn.answer.generation.finish == Finish::Stopped && turn.answer.text.is_empty() => {
                self.turns = before;
            }
            Ok(turn) => self.turns.push(message("assistant", turn.answer.text.trim_end())),
            Err(_) => self.turns = before,
        }
        answered
    }

    /// The prompt, after as many of the oldest turns were forgotten as it takes.
    fn fit(&mut self, speaker: &Speaker, spec: &GenerationSpec) -> Result<(Prompt, usize)> {
        let positions = speaker.positions();
        let mut forgotten = 0;
        loop {
            let prompt = speaker.of_messages(&self.messages())?;
            let room = spec.max_new_tokens.min(positions / 2);
            if prompt.ids.len() + room <= positions {
                return Ok((prompt, forgotten));
            }
            if self.turns.len() == 1 {
                // Too little room for a whole answer is room for a part of one.
                return if prompt.ids.len() < positions {
                    Ok((prompt, forgotten))
                } else {
                    Err(too_long(&prompt, positions))
                };
            }
            // A question goes with its answer: templates want turns to alternate.
            let pair = if self.turns.get(1).is_some_and(|turn| turn.role == "assistant") { 2 } else { 1 };
            self.turns.drain(..pair);
            forgotten += pair;
        }
    }
}

fn too_long(prompt: &Prompt, positions: usize) -> Diagnostic {
    Diagnostic::new(format!(
        "the message has {} tokens with its template, and the model {positions} positions: no room for an answer",
        prompt.ids.len()
    ))
    .help("say it in fewer words, or a part at a time")
}

fn message(role: &str, content: &str) -> Message {
    Message { role: role.to_owned(), content: content.to_owned() }
}

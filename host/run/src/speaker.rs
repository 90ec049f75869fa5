//! A language model that can be talked to: weights, tokenizer, chat template, and how its authors draw tokens.

use std::ops::ControlFlow;

use retune_data::record::Record;
use retune_data::{ChatPrompt, ChatSpec, DataError, TemplateRef, Tokenization};
use retune_recipe::diagnostic::{Diagnostic, Result};
use retune_roles::{Message, Tokenizer as _};
use retune_tensor::Device;
use retune_train::TrainError;
use retune_train::generation::{Finish, Generation, GenerationSpec, Generator, NewToken, ReadText, TextStream};
use retune_train::model::{Model, Task};

use crate::opened::Opened;
use crate::settings;

/// What the model is asked.
#[derive(Clone, Debug, PartialEq)]
pub struct Prompt {
    /// What a person reads of it.
    pub shown: String,
    /// Its tokens.
    pub ids: Vec<u32>,
}

/// What it answered.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// Without tokens that are no text.
    pub text: String,
    /// Tokens and why there are no more.
    pub generation: Generation,
}

/// What sees answers grow: each token, the text that it adds to its answer and, with the last one, the answer.
pub type Watch<'a> = dyn FnMut(&NewToken, &str, Option<Answer>) -> ControlFlow<()> + 'a;

/// A loaded language model.
pub struct Speaker {
    model: Model,
    tokenizer: Tokenization,
    chat: Option<ChatPrompt>,
    spec: GenerationSpec,
    /// What its files ask for and is not done.
    pub warnings: Vec<String>,
}

impl Speaker {
    /// Loads `opened`; with `chat`, also its chat template, that of its run before that of its tokenizer.
    ///
    /// # Errors
    /// It is no language model, or one of its files cannot be read.
    pub fn load(opened: &Opened, chat: bool, device: &Device) -> Result<Self> {
        let task = opened.task("a language model is needed, such as one trained with task = \"causal-lm\"")?;
        if task != Task::CausalLm {
            let kind = task.kind().as_str();
            return Err(Diagnostic::new(format!(
                "`{}` is a model for {kind}, which does not continue texts",
                opened.directory.display()
            ))
            .help("give a model trained with task = \"causal-lm\"; `retune predict` asks one that puts texts into classes"));
        }
        let tokenizer = opened.tokenizer()?;
        let vocabulary = opened.config()?.shape.vocab_size;
        tokenizer.check_fits(vocabulary).map_err(of_data)?;
        let chat = if chat { template(opened, &tokenizer)? } else { None };
        let (spec, warnings) = opened.generation()?;
        let mut model = opened.load(&task, device)?;
        // Nothing learns here, and what is read of memory for each token is the time that it takes.
        (0..model.parameters().len()).for_each(|index| model.parameters_mut().fix(index));
        model.parameters_mut().narrow_fixed().map_err(|e| Diagnostic::new(e.to_string()))?;
        Ok(Self { model, tokenizer, chat, spec, warnings })
    }

    /// How the model's own files say that it is to be continued.
    pub fn defaults(&self) -> &GenerationSpec {
        &self.spec
    }

    /// Whether it has a chat template.
    pub fn has_template(&self) -> bool {
        self.chat.is_some()
    }

    /// The tokens that the model has positions for.
    pub fn positions(&self) -> usize {
        self.model.config().shape.longest_row()
    }

    /// A conversation in the chat template, and the beginning of the model's turn.
    ///
    /// # Errors
    /// There is no template, or it refuses the conversation.
    pub fn of_messages(&self, messages: &[Message]) -> Result<Prompt> {
        let chat = self.template()?;
        let shown = messages.last().map_or_else(String::new, |message| message.content.clone());
        Ok(Prompt { shown, ids: chat.ids(messages, "the conversation").map_err(of_data)? })
    }

    /// The conversation in a column of a row.
    ///
    /// # Errors
    /// There is no template, or the row holds no conversation that it can write.
    pub fn of_row(&self, record: &Record, column: &str, tools: Option<&str>) -> Result<Prompt> {
        let ids = self.template()?.ids_of_row(record, column, tools).map_err(of_data)?;
        Ok(Prompt { shown: record.key.clone(), ids })
    }

    /// A text as it stands, behind the start token where the tokenizer sets one.
    ///
    /// # Errors
    /// It cannot be tokenised.
    pub fn of_text(&self, text: &str) -> Result<Prompt> {
        let encoded = self.tokenizer.encode(&[text.to_owned()], true);
        let mut encoded = encoded.map_err(|refusal| Diagnostic::new(refusal.to_string()))?;
        let mut ids = encoded.pop().unwrap_or_default().ids;
        // One that ends what it encodes ends a text here that is to go on.
        if ids.len() > 1 && ids.last().is_some_and(|id| self.tokenizer.eos() == Some(*id)) && !text.is_empty() {
            ids.pop();
        }
        if ids.is_empty() {
            ids.extend(self.tokenizer.bos());
        }
        Ok(Prompt { shown: text.to_owned(), ids })
    }

    /// Answers `prompts`, so many at a time.
    ///
    /// # Errors
    /// A setting cannot be, or a prompt does not fit the model.
    pub fn answer(
        &self,
        prompts: &[Prompt],
        spec: &GenerationSpec,
        batch_size: usize,
        watch: &mut Watch<'_>,
    ) -> Result<()> {
        let generator = Generator::new(&self.model, spec, Some(&self.tokenizer)).map_err(of_training)?;
        let ids: Vec<Vec<u32>> = prompts.iter().map(|prompt| prompt.ids.clone()).collect();
        let mut begun: Vec<Option<Growing<'_>>> = prompts.iter().map(|_| None).collect();
        let answers = generator.run(&ids, batch_size, &mut |token| {
            let slot = &mut begun[token.prompt];
            let growing = slot.get_or_insert_with(|| Growing::new(&self.tokenizer));
            let added = growing.push(token);
            let answer = token.finish.clone().and_then(|finish| {
                let Growing { text, ids, .. } = slot.take()?;
                Some(Answer { text, generation: Generation { ids, finish } })
            });
            watch(token, &added, answer)
        });
        answers.map(drop).map_err(of_training)
    }

    /// Answers one prompt, `place` being its number in a conversation; of its tokens those that were `read` are not read again.
    ///
    /// # Errors
    /// Those of [`Speaker::answer`].
    pub fn go_on(
        &self,
        (place, prompt): (usize, &Prompt),
        read: &mut ReadText,
        spec: &GenerationSpec,
        watch: &mut dyn FnMut(&NewToken, &str) -> ControlFlow<()>,
    ) -> Result<Answer> {
        let generator = Generator::new(&self.model, spec, Some(&self.tokenizer)).map_err(of_training)?;
        let mut text = Growing::new(&self.tokenizer);
        let answer = generator.go_on((place, &prompt.ids), read, &mut |token| {
            let added = text.push(token);
            watch(token, &added)
        });
        Ok(Answer { generation: answer.map_err(of_training)?, text: text.text })
    }

    fn template(&self) -> Result<&ChatPrompt> {
        self.chat.as_ref().ok_or_else(|| {
            Diagnostic::new("this model has no chat template, so it does not know turns of a conversation").help(
                "continue a text with `retune generate --raw`, or put a chat_template.jinja into the model's folder",
            )
        })
    }
}

/// The text of an answer, as far as it goes.
struct Growing<'a> {
    stream: TextStream<'a>,
    text: String,
    ids: Vec<u32>,
}

impl<'a> Growing<'a> {
    fn new(tokenizer: &'a Tokenization) -> Self {
        Self { stream: TextStream::new(tokenizer, true), text: String::new(), ids: Vec::new() }
    }

    /// What `token` adds.
    fn push(&mut self, token: &NewToken) -> String {
        self.ids.push(token.id);
        let mut added = self.stream.push(token.id).unwrap_or_default();
        if token.finish.is_some() {
            added.push_str(&self.stream.end().unwrap_or_default());
        }
        self.text.push_str(&added);
        added
    }
}

/// The template that a model learnt with, else that of its tokenizer, when there is one.
fn template(opened: &Opened, tokenizer: &Tokenization) -> Result<Option<ChatPrompt>> {
    let of_run = opened.recipe().and_then(|recipe| settings::data(recipe, None).chat);
    // A run's result has the template it learnt with beside it, also where that was a file elsewhere.
    let beside = |template: &TemplateRef| matches!(template, TemplateRef::Name(_));
    let spec = of_run.map(|chat| ChatSpec { template: chat.template.filter(beside), ..chat }).unwrap_or_default();
    match ChatPrompt::new(&spec, tokenizer) {
        Ok(chat) => Ok(Some(chat)),
        Err(DataError::Chat(retune_data::ChatError::NoTemplate { .. })) => Ok(None),
        Err(e) => Err(of_data(e)),
    }
}

/// Why an answer ended, in a word.
pub fn reason(finish: &Finish) -> &'static str {
    match finish {
        Finish::EndToken => "end-token",
        Finish::StopString(_) => "stop-string",
        Finish::Length => "max-new-tokens",
        Finish::Positions => "positions",
        Finish::Stopped => "stopped",
    }
}

fn of_data(error: DataError) -> Diagnostic {
    Diagnostic::new(error.to_string()).help_some(error.help())
}

fn of_training(error: TrainError) -> Diagnostic {
    Diagnostic::new(error.to_string()).help_some(error.help())
}

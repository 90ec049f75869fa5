//! Gradual unfreezing (Howard and Ruder 2018, "Universal Language Model
//! Fine-tuning for Text Classification", section 3.3): at first only the head
//! learns, then the layers below join it from the top down, one depth at a time,
//! so that what the lower layers know is not lost while the head still guesses.
//!
//! A depth joins on a [`Schedule`]: every so many epochs, every so many steps, or
//! whenever an evaluation has not improved for a while. A depth of norms alone (Llama's `model.norm`, between
//! the last block and the head) is no stage: its scales join with the depth below. Layers that the recipe froze stay
//! frozen: this policy governs only what would learn without it.
//!
//! A run that is too short for the schedule is warned about: at its start, or after the first
//! epoch, when it is known how many steps one has.
//!
//! Its state, the layers it governs and how far it has come, travels in checkpoints, so
//! that a resumed run unfreezes the same layers at the same moments as one that was never
//! stopped. At the start, and again after a restart, it says all that holds.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::panic))]

mod schedule;

use retune_sdk::{
    Action, Change, Checkpoint, Error, Event, Layer, Policy, PolicyContract, Result, Trigger, logging, state,
};
use serde::{Deserialize, Serialize};

use schedule::Shortfall;
pub use schedule::{Config, Mode, Plateau, Schedule, Watch};

/// Gradual unfreezing.
pub struct GradualUnfreezing {
    schedule: Schedule,
    state: State,
}

/// What a resumed run has to know.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct State {
    /// The layers below the head by depth, deepest first; empty before `attach`.
    depths: Vec<Depth>,
    /// How many of them learn.
    open: usize,
    /// The evaluations, for a plateau.
    watch: Watch,
}

/// The layers of one depth.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Depth {
    depth: u32,
    layers: Vec<String>,
}

impl Depth {
    fn changes(&self, action: Action, reason: &str) -> impl Iterator<Item = Change> {
        self.layers.iter().map(move |layer| Change::new(layer, action, reason))
    }
}

impl GradualUnfreezing {
    /// Says so when the run is over before the last depth has joined.
    fn warn_of_the_end(&self, event: &Event) {
        let depths = self.state.depths.len();
        let Some(shortfall) = self.schedule.shortfall(event, depths) else { return };
        let Shortfall { reached, ends, last } = shortfall;
        let advice = match event.at.total_steps.map(|total| total.saturating_sub(1) / depths as u64) {
            Some(0) | None => "train longer".to_owned(),
            Some(every) => format!("train longer, or set every_steps = {every}"),
        };
        logging::warn(format!(
            "only {reached} of {depths} depths below the head will learn: the run ends with {ends}, and the last joins \
             after {last}; {advice}"
        ));
    }

    /// Lets depths join until `target` of them learn.
    fn advance(&mut self, target: usize, why: &str) -> Vec<Change> {
        let target = target.min(self.state.depths.len());
        let Some(joining) = self.state.depths.get(self.state.open..target) else { return Vec::new() };
        let changes = joining
            .iter()
            .flat_map(|depth| {
                depth.changes(Action::Unfreeze, &format!("{why}: depth {} joins", depth.depth)).collect::<Vec<_>>()
            })
            .collect();
        self.state.open = target;
        changes
    }

    /// All that holds now.
    fn everything(&self) -> Vec<Change> {
        let (open, closed) = self.state.depths.split_at(self.state.open);
        let open = open.iter().flat_map(|depth| depth.changes(Action::Unfreeze, "has joined"));
        open.chain(closed.iter().flat_map(|depth| depth.changes(Action::Freeze, "waits for its turn"))).collect()
    }
}

/// The layers that learn below the head, by depth, deepest first; norms that have a depth of their own are with their
/// neighbour. Where no head learns (tied embeddings, or an adapter that leaves it alone) the deepest that learns is in its place.
fn below_the_head(layers: &[Layer]) -> Vec<Depth> {
    let learning = || layers.iter().filter(|layer| layer.trainable);
    let deepest = learning().map(|layer| layer.depth).max();
    let has_head = learning().any(|layer| layer.kind == "head");
    let is_head = |layer: &Layer| if has_head { layer.kind == "head" } else { Some(layer.depth) == deepest };
    let mut depths: Vec<Depth> = Vec::new();
    for layer in learning().filter(|layer| !is_head(layer)) {
        match depths.iter_mut().find(|depth| depth.depth == layer.depth) {
            Some(depth) => depth.layers.push(layer.name.clone()),
            None => depths.push(Depth { depth: layer.depth, layers: vec![layer.name.clone()] }),
        }
    }
    depths.sort_by_key(|depth| std::cmp::Reverse(depth.depth));
    let is_norm = |name: &String| layers.iter().any(|layer| layer.name == *name && layer.kind == "norm");
    with_neighbours(depths, |depth| depth.layers.iter().all(is_norm))
}

/// The depths, deepest first; one that is `light` is part of the depth below it, or above it where there is none below.
fn with_neighbours(depths: Vec<Depth>, light: impl Fn(&Depth) -> bool) -> Vec<Depth> {
    let mut stages: Vec<Depth> = Vec::new();
    let mut waiting: Vec<String> = Vec::new();
    let mut last = None;
    for mut depth in depths {
        if light(&depth) {
            waiting.append(&mut depth.layers);
            last = Some(depth.depth);
        } else {
            depth.layers.splice(0..0, waiting.drain(..));
            stages.push(depth);
        }
    }
    match (stages.last_mut(), last) {
        (Some(lowest), _) => lowest.layers.append(&mut waiting),
        (None, Some(depth)) => stages.push(Depth { depth, layers: waiting }),
        (None, None) => {}
    }
    stages
}

impl Policy for GradualUnfreezing {
    type Config = Config;

    fn new(config: Config, _seed: u64) -> Result<Self> {
        Ok(Self { schedule: config.schedule()?, state: State::default() })
    }

    fn describe(&self) -> PolicyContract {
        PolicyContract {
            every_epoch: matches!(self.schedule, Schedule::Epochs(_)),
            every_steps: match self.schedule {
                Schedule::Steps(every) => Some(every),
                _ => None,
            },
            after_evaluation: matches!(self.schedule, Schedule::Plateau(_)),
            stats: false,
        }
    }

    fn attach(&mut self, layers: &[Layer]) -> Result<()> {
        // A state that was loaded first stays: by then this policy's own freezing shows in `layers`.
        let lost = self
            .state
            .depths
            .iter()
            .flat_map(|depth| &depth.layers)
            .find(|name| layers.iter().all(|layer| layer.name != **name));
        if let Some(name) = lost {
            return Err(Error::input(format!(
                "the checkpoint was written for a model with a layer `{name}`, this one has none"
            )));
        }
        if self.state.depths.is_empty() {
            self.state.depths = below_the_head(layers);
        }
        Ok(())
    }

    fn decide(&mut self, event: &Event) -> Result<Vec<Change>> {
        let at = &event.at;
        Ok(match (&self.schedule, &event.trigger) {
            (_, Trigger::Start) => {
                if self.state.depths.is_empty() {
                    logging::warn("there is nothing to unfreeze: no layer below the head would learn");
                }
                self.warn_of_the_end(event);
                self.everything()
            }
            (Schedule::Epochs(every), Trigger::Epoch) => {
                let every = *every;
                self.warn_of_the_end(event);
                self.advance((at.epoch / every) as usize, &format!("epoch {}", at.epoch))
            }
            (Schedule::Steps(every), Trigger::Steps) => {
                self.advance((at.step / u64::from(*every)) as usize, &format!("step {}", at.step))
            }
            (Schedule::Plateau(plateau), Trigger::Evaluation(values)) => {
                let value = plateau.value(values)?;
                match self.state.watch.stalls(plateau, value) {
                    true => {
                        let why = format!("{} has stopped improving at {value}", plateau.metric);
                        self.advance(self.state.open + 1, &why)
                    }
                    false => Vec::new(),
                }
            }
            _ => Vec::new(),
        })
    }
}

impl Checkpoint for GradualUnfreezing {
    fn save(&mut self) -> Result<Vec<u8>> {
        state::encode(&self.state)
    }

    fn load(&mut self, bytes: &[u8]) -> Result<()> {
        let state: State = state::decode(bytes)?;
        if state.open > state.depths.len() {
            return Err(Error::input("the saved state has more open depths than depths").context("reading the state"));
        }
        self.state = state;
        Ok(())
    }
}

retune_sdk::export!(policy: GradualUnfreezing, checkpoint: GradualUnfreezing);

#[cfg(test)]
mod tests {
    use super::*;
    use retune_sdk::Progress;

    fn model() -> Vec<Layer> {
        [
            ("embeddings", 0, "embedding"),
            ("layer.0.attention", 1, "attention"),
            ("layer.0.mlp", 1, "mlp"),
            ("layer.1.attention", 2, "attention"),
            ("layer.1.mlp", 2, "mlp"),
            ("pooler", 3, "head"),
            ("classifier", 4, "head"),
        ]
        .map(|(name, depth, kind)| Layer {
            name: name.into(),
            depth,
            kind: kind.into(),
            parameters: 1,
            trainable: true,
        })
        .into()
    }

    fn policy(config: Config) -> GradualUnfreezing {
        let mut policy = GradualUnfreezing::new(config, 0).unwrap();
        policy.attach(&model()).unwrap();
        policy
    }

    fn epochs(every: u32) -> Config {
        Config { every_epochs: Some(every), ..Config::default() }
    }

    fn ask(policy: &mut GradualUnfreezing, trigger: Trigger, epoch: u32, step: u64) -> Vec<String> {
        let at = Progress { epoch, step, total_steps: None };
        let event = Event { trigger, at, train_loss: None, layers: Vec::new() };
        let line = |change: Change| match change.action {
            Action::Freeze => format!("-{}", change.layers),
            Action::Unfreeze => format!("+{}", change.layers),
            other => panic!("{other:?}"),
        };
        policy.decide(&event).unwrap().into_iter().map(line).collect()
    }

    #[test]
    fn at_the_start_everything_but_the_head_is_frozen() {
        let changes = ask(&mut policy(epochs(1)), Trigger::Start, 0, 0);
        assert_eq!(
            changes,
            ["-layer.1.attention", "-layer.1.mlp", "-layer.0.attention", "-layer.0.mlp", "-embeddings"]
        );
    }

    #[test]
    fn one_depth_joins_from_the_top_down_each_time() {
        let mut policy = policy(epochs(2));
        ask(&mut policy, Trigger::Start, 0, 0);
        assert!(ask(&mut policy, Trigger::Epoch, 1, 10).is_empty());
        assert_eq!(ask(&mut policy, Trigger::Epoch, 2, 20), ["+layer.1.attention", "+layer.1.mlp"]);
        assert!(ask(&mut policy, Trigger::Epoch, 3, 30).is_empty());
        assert_eq!(ask(&mut policy, Trigger::Epoch, 4, 40), ["+layer.0.attention", "+layer.0.mlp"]);
        assert_eq!(ask(&mut policy, Trigger::Epoch, 6, 60), ["+embeddings"]);
        assert!(ask(&mut policy, Trigger::Epoch, 8, 80).is_empty(), "there is nothing left to join");
    }

    #[test]
    fn steps_count_as_epochs_do() {
        let mut policy = policy(Config { every_steps: Some(50), ..Config::default() });
        assert_eq!(policy.describe(), PolicyContract { every_steps: Some(50), ..PolicyContract::default() });
        ask(&mut policy, Trigger::Start, 0, 0);
        assert_eq!(ask(&mut policy, Trigger::Steps, 0, 50), ["+layer.1.attention", "+layer.1.mlp"]);
        assert!(ask(&mut policy, Trigger::Epoch, 1, 70).is_empty(), "epochs are not its business");
    }

    #[test]
    fn a_plateau_lets_one_depth_join_and_then_waits_again() {
        let plateau = Plateau { metric: "macro_f1".into(), mode: Mode::Max, patience: 2, min_delta: 0.01 };
        let mut policy = policy(Config { plateau: Some(plateau), ..Config::default() });
        assert!(policy.describe().after_evaluation);
        ask(&mut policy, Trigger::Start, 0, 0);
        let mut evaluate = |f1: f64| ask(&mut policy, Trigger::Evaluation(vec![("macro_f1".into(), f1)]), 0, 0);
        assert!(evaluate(0.5).is_empty());
        assert!(evaluate(0.6).is_empty());
        assert!(evaluate(0.605).is_empty(), "first evaluation without enough gain");
        assert_eq!(evaluate(0.6), ["+layer.1.attention", "+layer.1.mlp"]);
        assert!(evaluate(0.6).is_empty(), "patience begins again");
        assert_eq!(evaluate(0.6), ["+layer.0.attention", "+layer.0.mlp"]);
        assert!(evaluate(0.7).is_empty());
    }

    #[test]
    fn an_evaluation_without_the_watched_value_is_refused_with_the_values_there_are() {
        let plateau = Plateau { metric: "f1".into(), ..Plateau::default() };
        let mut policy = policy(Config { plateau: Some(plateau), ..Config::default() });
        let values = vec![("loss".into(), 1.0), ("accuracy".into(), 0.5)];
        let event =
            Event { trigger: Trigger::Evaluation(values), at: Progress::START, train_loss: None, layers: vec![] };
        assert_eq!(
            policy.decide(&event).unwrap_err().message,
            "the evaluation gives no `f1`; `plateau.metric` can be `loss`, `accuracy`"
        );
    }

    #[test]
    fn layers_the_recipe_froze_stay_frozen() {
        let mut layers = model();
        layers[0].trainable = false;
        layers[3].trainable = false;
        let mut policy = GradualUnfreezing::new(epochs(1), 0).unwrap();
        policy.attach(&layers).unwrap();
        assert_eq!(ask(&mut policy, Trigger::Start, 0, 0), ["-layer.1.mlp", "-layer.0.attention", "-layer.0.mlp"]);
        assert_eq!(ask(&mut policy, Trigger::Epoch, 9, 0), ["+layer.1.mlp", "+layer.0.attention", "+layer.0.mlp"]);
    }

    #[test]
    fn without_a_layer_called_head_the_deepest_is_one() {
        let mut layers = model();
        layers.truncate(5);
        let mut policy = GradualUnfreezing::new(epochs(1), 0).unwrap();
        policy.attach(&layers).unwrap();
        assert_eq!(ask(&mut policy, Trigger::Start, 0, 0), ["-layer.0.attention", "-layer.0.mlp", "-embeddings"]);
    }

    /// With an adapter on the blocks neither head nor norms nor tables learn.
    #[test]
    fn where_no_head_learns_the_deepest_that_does_begins() {
        let mut layers = model();
        layers.iter_mut().filter(|layer| layer.depth == 0 || layer.depth > 2).for_each(|layer| layer.trainable = false);
        let mut policy = GradualUnfreezing::new(epochs(1), 0).unwrap();
        policy.attach(&layers).unwrap();
        assert_eq!(ask(&mut policy, Trigger::Start, 0, 0), ["-layer.0.attention", "-layer.0.mlp"]);
        assert_eq!(ask(&mut policy, Trigger::Epoch, 1, 0), ["+layer.0.attention", "+layer.0.mlp"]);
    }

    /// The model as a resumed run finds it: frozen as the recipe says, or as the policy left it.
    #[test]
    fn a_resumed_run_learns_with_the_same_layers() {
        let mut whole = policy(epochs(1));
        ask(&mut whole, Trigger::Start, 0, 0);
        ask(&mut whole, Trigger::Epoch, 1, 10);
        let saved = whole.save().unwrap();

        let mut frozen = model();
        frozen.iter_mut().filter(|layer| layer.depth < 2).for_each(|layer| layer.trainable = false);
        for (load_first, layers) in [(true, model()), (true, frozen.clone()), (false, frozen)] {
            let mut resumed = GradualUnfreezing::new(epochs(1), 0).unwrap();
            if load_first {
                resumed.load(&saved).unwrap();
            }
            resumed.attach(&layers).unwrap();
            if !load_first {
                resumed.load(&saved).unwrap();
            }
            let expected = ["+layer.1.attention", "+layer.1.mlp", "-layer.0.attention", "-layer.0.mlp", "-embeddings"];
            assert_eq!(ask(&mut resumed, Trigger::Start, 1, 10), expected);
            assert_eq!(ask(&mut resumed, Trigger::Start, 1, 10), expected, "saying it twice changes nothing");
            assert_eq!(ask(&mut resumed, Trigger::Epoch, 2, 20), ["+layer.0.attention", "+layer.0.mlp"]);
        }
    }

    #[test]
    fn a_plateau_that_was_half_waited_for_is_not_forgotten() {
        let config = Config { plateau: Some(Plateau { patience: 3, ..Plateau::default() }), ..Config::default() };
        let evaluate = |policy: &mut GradualUnfreezing, loss: f64| {
            ask(policy, Trigger::Evaluation(vec![("loss".into(), loss)]), 0, 0)
        };
        let mut first = policy(config.clone());
        assert!([1.0, 1.0, 1.0].iter().all(|loss| evaluate(&mut first, *loss).is_empty()));
        let mut resumed = GradualUnfreezing::new(config, 0).unwrap();
        resumed.load(&first.save().unwrap()).unwrap();
        resumed.attach(&model()).unwrap();
        assert_eq!(evaluate(&mut resumed, 1.0), ["+layer.1.attention", "+layer.1.mlp"]);
    }

    #[test]
    fn a_checkpoint_of_another_model_or_another_plugin_is_refused() {
        let mut other = GradualUnfreezing::new(epochs(1), 0).unwrap();
        other.load(&policy(epochs(1)).save().unwrap()).unwrap();
        let error = other.attach(&model()[2..]).unwrap_err();
        assert!(
            error.message.contains("a layer `layer.0.attention`") || error.message.contains("`embeddings`"),
            "{error}"
        );
        assert!(other.load(b"[]").is_err());
    }

    fn layer(name: &str, depth: u32, kind: &str) -> Layer {
        Layer { name: name.into(), depth, kind: kind.into(), parameters: 1, trainable: true }
    }

    /// As a Llama shows them: the final norm lies between the last block and the head.
    fn llama() -> Vec<Layer> {
        vec![
            layer("model.embed_tokens", 0, "embedding"),
            layer("model.layers.0.self_attn", 1, "attention"),
            layer("model.layers.0.input_layernorm", 1, "norm"),
            layer("model.layers.1.self_attn", 2, "attention"),
            layer("model.norm", 3, "norm"),
            layer("score", 4, "head"),
        ]
    }

    fn attached(config: Config, layers: &[Layer]) -> GradualUnfreezing {
        let mut policy = GradualUnfreezing::new(config, 0).unwrap();
        policy.attach(layers).unwrap();
        policy
    }

    #[test]
    fn a_norm_joins_with_its_neighbour() {
        let mut policy = attached(epochs(1), &llama());
        ask(&mut policy, Trigger::Start, 0, 0);
        assert_eq!(ask(&mut policy, Trigger::Epoch, 1, 10), ["+model.norm", "+model.layers.1.self_attn"]);
        assert_eq!(
            ask(&mut policy, Trigger::Epoch, 2, 20),
            ["+model.layers.0.self_attn", "+model.layers.0.input_layernorm"]
        );
        assert_eq!(ask(&mut policy, Trigger::Epoch, 3, 30), ["+model.embed_tokens"]);

        // Nothing below it, or nothing beside it.
        let lowest = [layer("norm", 0, "norm"), layer("block", 1, "mlp"), layer("head", 2, "head")];
        let mut policy = attached(epochs(1), &lowest);
        assert_eq!(ask(&mut policy, Trigger::Epoch, 1, 10), ["+block", "+norm"]);
        let mut policy = attached(epochs(1), &[layer("norm", 0, "norm"), layer("head", 2, "head")]);
        assert_eq!(ask(&mut policy, Trigger::Epoch, 1, 10), ["+norm"]);
    }

    fn warnings(policy: &mut GradualUnfreezing, trigger: Trigger, at: Progress) -> Vec<String> {
        retune_sdk::testing::logs();
        policy.decide(&Event { trigger, at, train_loss: None, layers: Vec::new() }).unwrap();
        retune_sdk::testing::logs().into_iter().map(|(_, line)| line).collect()
    }

    #[test]
    fn a_run_that_is_too_short_for_its_schedule_is_warned_about() {
        let at = |epoch, step, total| Progress { epoch, step, total_steps: Some(total) };
        // Two epochs of 10 steps, three depths: the first joins after epoch 1, the others never do.
        let mut policy = attached(epochs(1), &llama());
        assert!(
            warnings(&mut policy, Trigger::Start, at(0, 0, 20)).is_empty(),
            "nobody knows yet how long an epoch is"
        );
        assert_eq!(
            warnings(&mut policy, Trigger::Epoch, at(1, 10, 20)),
            [
                "only 1 of 3 depths below the head will learn: the run ends with epoch 2, and the last joins after epoch 3; \
              train longer, or set every_steps = 6"
            ]
        );
        assert!(warnings(&mut policy, Trigger::Epoch, at(2, 20, 20)).is_empty(), "it has been said");
        let mut policy = attached(epochs(1), &llama());
        assert!(warnings(&mut policy, Trigger::Epoch, at(1, 10, 40)).is_empty());

        let steps = |every| attached(Config { every_steps: Some(every), ..Config::default() }, &llama());
        assert_eq!(
            warnings(&mut steps(50), Trigger::Start, at(0, 0, 150)),
            [
                "only 2 of 3 depths below the head will learn: the run ends with step 150, and the last joins after step \
              150; train longer, or set every_steps = 49"
            ]
        );
        assert!(warnings(&mut steps(49), Trigger::Start, at(0, 0, 150)).is_empty());
        assert_eq!(
            warnings(&mut steps(50), Trigger::Start, at(0, 0, 2)),
            [
                "only 0 of 3 depths below the head will learn: the run ends with step 2, and the last joins after step 150; \
              train longer"
            ]
        );
        assert!(warnings(&mut steps(50), Trigger::Start, at(3, 100, 150)).is_empty(), "a resumed run has been warned");
        let unknown = Progress { epoch: 0, step: 0, total_steps: None };
        assert!(warnings(&mut steps(50), Trigger::Start, unknown).is_empty());
    }
}

//! A component as a [`Policy`]. What it decides is checked in [`checked`].

use retune_roles::text::shortened;
use retune_roles::{
    Action, Change, Event, InitScheme, Layer, LayerStats, Policy, PolicyContract, Result, RoleKind, Trigger,
};
use retune_tensor::Device;

use crate::bindings::guest::policy as contract;
use crate::checkpoint::Checkpoint;
use crate::convert::{self, SENTENCE};
use crate::instance::Instance;
use crate::play::PluginRole;
use crate::plugin::{Plugin, Setup};

/// Most changes at a time.
const CHANGES: usize = 10_000;

/// Longest pattern, in characters.
const PATTERN: usize = 512;

struct Plugged {
    instance: Instance,
    functions: contract::Guest,
    checkpoint: Checkpoint,
    describes: PolicyContract,
}

impl PluginRole for dyn Policy {
    fn start(plugin: &Plugin, setup: &Setup, _: &Device) -> Result<Box<Self>> {
        Ok(Box::new(Plugged::start(plugin, setup)?))
    }
}

impl Plugged {
    fn start(plugin: &Plugin, setup: &Setup) -> Result<Self> {
        let Some(found) = &plugin.indices().policy else { return Err(plugin.miscast(RoleKind::Policy)) };
        let mut instance = Instance::start(plugin, setup, RoleKind::Policy, &Device::flex())?;
        let functions = instance.load(|store, component| found.load(store, component))?;
        let checkpoint = Checkpoint::find(plugin, &mut instance)?;
        let said = instance.call("describe", || None, |store| functions.call_describe(store).map(Ok))?;
        if said.every_steps == Some(0) {
            return Err(instance.misbehaved("describe", "asks to be called every 0 steps, the least is 1"));
        }
        let describes = PolicyContract {
            every_epoch: said.every_epoch,
            every_steps: said.every_steps,
            after_evaluation: said.after_evaluation,
            stats: said.stats,
        };
        Ok(Self { instance, functions, checkpoint, describes })
    }
}

impl Policy for Plugged {
    fn name(&self) -> &str {
        self.instance.who()
    }

    fn describe(&self) -> PolicyContract {
        self.describes
    }

    fn attach(&mut self, layers: &[Layer]) -> Result<()> {
        let layers: Vec<_> = layers.iter().map(layer).collect();
        let functions = &self.functions;
        self.instance.call("attach", || None, |store| functions.call_attach(store, &layers))
    }

    fn decide(&mut self, event: &Event) -> Result<Vec<Change>> {
        let functions = &self.functions;
        let place = || Some(format!("step {}", event.at.step));
        let told = self::event(event);
        let changes = self.instance.call("decide", place, |store| functions.call_decide(store, &told))?;
        let said = changes.iter().map(|change| 32 + change.layers.len() + change.reason.len()).sum();
        self.instance.say("decide", said).map_err(|failure| failure.at(format!("step {}", event.at.step)))?;
        checked(changes)
            .map_err(|reason| self.instance.misbehaved("decide", reason).at(format!("step {}", event.at.step)))
    }

    fn save(&mut self) -> Result<Option<Vec<u8>>> {
        self.checkpoint.save(&mut self.instance)
    }

    fn load(&mut self, state: &[u8]) -> Result<()> {
        self.checkpoint.load(&mut self.instance, state)
    }
}

fn layer(layer: &Layer) -> contract::Layer {
    contract::Layer {
        name: layer.name.clone(),
        depth: layer.depth,
        kind: layer.kind.as_str().into(),
        parameters: layer.parameters,
        trainable: layer.trainable,
    }
}

fn event(event: &Event) -> contract::Event {
    let stats = |stats: &LayerStats| contract::LayerStats {
        name: stats.name.clone(),
        trainable: stats.trainable,
        grad_norm: stats.grad_norm,
        weight_norm: stats.weight_norm,
        update_ratio: stats.update_ratio,
    };
    contract::Event {
        trigger: match &event.trigger {
            Trigger::Start => contract::Trigger::Start,
            Trigger::Epoch => contract::Trigger::Epoch,
            Trigger::Steps => contract::Trigger::Steps,
            Trigger::Evaluation(values) => contract::Trigger::Evaluation(values.clone()),
        },
        at: convert::progress(&event.at),
        train_loss: event.train_loss,
        layers: event.layers.iter().map(stats).collect(),
    }
}

/// The changes, when each could be applied to some model. Whether a pattern
/// matches a layer of this one is the training loop's to say.
fn checked(changes: Vec<contract::Change>) -> std::result::Result<Vec<Change>, String> {
    if changes.len() > CHANGES {
        return Err(format!("gave {} changes, the most is {CHANGES}", changes.len()));
    }
    changes.into_iter().map(change).collect()
}

fn change(change: contract::Change) -> std::result::Result<Change, String> {
    let shown = shortened(&change.layers, 60);
    if change.layers.is_empty() || change.layers.chars().count() > PATTERN {
        return Err(format!("a pattern of layers is empty or longer than {PATTERN} characters: `{shown}`"));
    }
    let number = |value: f64, what: &str, least: f64| {
        if value.is_finite() && value >= least {
            Ok(value)
        } else {
            Err(format!("{what} for `{shown}` is {value}, expected a finite number of at least {least}"))
        }
    };
    let action = match change.action {
        contract::Action::Freeze => Action::Freeze,
        contract::Action::Unfreeze => Action::Unfreeze,
        contract::Action::LrScale(scale) => Action::LrScale(number(scale, "the learning rate's factor", 0.0)?),
        contract::Action::WeightDecay(decay) => Action::WeightDecay(number(decay, "the weight decay", 0.0)?),
        contract::Action::Reinit(scheme) => Action::Reinit(match scheme {
            contract::InitScheme::Zeros => InitScheme::Zeros,
            contract::InitScheme::Normal(std) => InitScheme::Normal(number(std, "the standard deviation", 0.0)?),
            contract::InitScheme::KaimingUniform => InitScheme::KaimingUniform,
            contract::InitScheme::XavierUniform => InitScheme::XavierUniform,
            contract::InitScheme::Pretrained => InitScheme::Pretrained,
        }),
    };
    Ok(Change { layers: change.layers, action, reason: shortened(&change.reason, SENTENCE) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(action: contract::Action) -> std::result::Result<Vec<Change>, String> {
        checked(vec![contract::Change { layers: "**".into(), action, reason: "r".into() }])
    }

    #[test]
    fn numbers_that_no_optimiser_can_use_are_refused() {
        assert!(with(contract::Action::LrScale(0.0)).is_ok());
        assert_eq!(
            with(contract::Action::LrScale(f64::NAN)).unwrap_err(),
            "the learning rate's factor for `**` is NaN, expected a finite number of at least 0"
        );
        assert!(with(contract::Action::LrScale(-1.0)).is_err());
        assert!(with(contract::Action::WeightDecay(f64::INFINITY)).is_err());
        assert!(with(contract::Action::Reinit(contract::InitScheme::Normal(-0.1))).is_err());
    }

    #[test]
    fn patterns_are_there_and_bounded() {
        let pattern = |layers: String| {
            checked(vec![contract::Change { layers, action: contract::Action::Freeze, reason: String::new() }])
        };
        assert!(pattern(String::new()).is_err());
        assert!(pattern("*".repeat(PATTERN + 1)).is_err());
        assert_eq!(pattern("a.*".into()).unwrap()[0].action, Action::Freeze);
    }
}

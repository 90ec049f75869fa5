//! A component as a [`Policy`]. What it decides is converted in [`crate::given`].

use std::time::Duration;

use retune_roles::{Change, Event, Layer, LayerStats, Policy, PolicyContract, Result, RoleKind, Trigger};
use retune_tensor::Device;

use crate::bindings::guest::policy as contract;
use crate::checkpoint::Checkpoint;
use crate::convert;
use crate::given;
use crate::instance::{Instance, accepted};
use crate::play::PluginRole;
use crate::plugin::{Plugin, Setup};

struct Plugged {
    instance: Instance,
    functions: contract::Guest,
    checkpoint: Checkpoint,
    describes: PolicyContract,
    deadline: Duration,
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
        let describes = accepted(&instance, "describe", || None, || given::policy_contract(said))?;
        let deadline = Duration::from_millis(setup.limits.deadline_ms);
        Ok(Self { instance, functions, checkpoint, describes, deadline })
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
        accepted(&self.instance, "decide", place, || given::changes(changes))
    }

    fn deadline(&self) -> Option<Duration> {
        Some(self.deadline)
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

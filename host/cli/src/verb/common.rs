//! Arguments that several verbs share.

use clap::ArgAction;
use retune_recipe::Recipe;
use retune_tensor::device::DeviceChoice;

use crate::console::{Console, Verbosity};

/// What is printed, and where is computed.
#[derive(Clone, Debug, clap::Args)]
pub struct Common {
    /// Print the result as JSON on standard output
    #[arg(long)]
    pub json: bool,
    /// No progress, warnings only; twice (-qq): errors only
    #[arg(long, short, action = ArgAction::Count)]
    quiet: u8,
    /// Compute on this device: auto, cpu, cuda:0 [default: the recipe's, else auto]
    #[arg(long, value_name = "DEVICE")]
    pub device: Option<DeviceChoice>,
}

impl Common {
    /// How much is told on standard error.
    pub fn verbosity(&self) -> Verbosity {
        match self.quiet {
            0 => Verbosity::Progress,
            1 => Verbosity::Warnings,
            _ => Verbosity::Errors,
        }
    }

    /// Where progress goes.
    pub fn console(&self) -> Console {
        Console::new(self.verbosity())
    }

    /// `recipe` with the device of the command line, where one was given.
    pub fn on_device(&self, mut recipe: Recipe) -> Recipe {
        if let Some(device) = self.device {
            recipe.device = device.to_string();
        }
        recipe
    }
}

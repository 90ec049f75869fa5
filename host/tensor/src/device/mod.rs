//! Where tensors live: `auto`, `cpu`, `cuda` or `cuda:1`.
//!
//! A machine without NVIDIA's libraries must get a sentence, not the panic that
//! burn's CUDA runtime answers with. So [`cuda_report`] looks for everything that
//! runtime will need, and nothing of burn's CUDA is touched before it passes.

mod cuda;
mod error;

use std::fmt;
use std::str::FromStr;

use burn::tensor::Device;

pub use crate::portable::{Portable, is_host, portable};
pub use cuda::{CudaReport, GpuInfo, cuda_report};
pub use error::DeviceError;

/// What a recipe or the command line asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DeviceChoice {
    /// The first GPU when it can be used, else the CPU.
    #[default]
    Auto,
    /// The CPU.
    Cpu,
    /// The GPU of this index, counted as the driver counts.
    Cuda(usize),
}

impl fmt::Display for DeviceChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Cpu => f.write_str("cpu"),
            Self::Cuda(index) => write!(f, "cuda:{index}"),
        }
    }
}

impl FromStr for DeviceChoice {
    type Err = DeviceError;

    fn from_str(text: &str) -> Result<Self, DeviceError> {
        match text {
            "auto" => Ok(Self::Auto),
            "cpu" => Ok(Self::Cpu),
            "cuda" | "gpu" => Ok(Self::Cuda(0)),
            _ => text.strip_prefix("cuda:").and_then(|index| index.parse().ok()).map(Self::Cuda).ok_or_else(|| {
                DeviceError::new(format!("unknown device `{text}`; write auto, cpu, cuda or cuda:<index>"))
            }),
        }
    }
}

impl DeviceChoice {
    /// The device, ready to compute.
    ///
    /// Price: the first use of a GPU loads the driver and makes a context, about
    /// a second. `Auto` never fails: it falls back to the CPU.
    ///
    /// # Errors
    /// When a GPU is asked for and cannot be used; the details say what is missing.
    pub fn resolve(&self) -> Result<Device, DeviceError> {
        match *self {
            Self::Cpu => Ok(Device::flex()),
            Self::Cuda(index) => cuda::open(index, &cuda_report()),
            Self::Auto => Ok(cuda::open(0, &cuda_report()).unwrap_or_else(|_| Device::flex())),
        }
    }
}

/// A device in words: `cpu (8 threads)`, `cuda:0 (NVIDIA H200)`.
pub fn describe(device: &Device) -> String {
    use burn::backend::DispatchDevice;
    match device.as_dispatch().clone().inner() {
        DispatchDevice::Flex(_) => {
            let threads = rayon::current_num_threads();
            format!("cpu ({threads} thread{})", if threads == 1 { "" } else { "s" })
        }
        #[allow(unreachable_patterns, reason = "the only other backend is compiled with the feature `cuda`")]
        other => cuda::describe(&other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_choice_reads_back_as_it_is_written() {
        for (text, choice) in
            [("auto", DeviceChoice::Auto), ("cpu", DeviceChoice::Cpu), ("cuda:3", DeviceChoice::Cuda(3))]
        {
            assert_eq!(text.parse(), Ok(choice));
            assert_eq!(choice.to_string(), text);
        }
        assert_eq!("cuda".parse(), Ok(DeviceChoice::Cuda(0)));
    }

    #[test]
    fn an_unknown_device_is_refused_with_the_known_ones() {
        for text in ["CPU", "cuda:", "cuda:-1", "tpu", ""] {
            let error = text.parse::<DeviceChoice>().unwrap_err().to_string();
            assert!(error.contains(&format!("`{text}`")) && error.contains("cuda:<index>"), "{error}");
        }
    }

    #[test]
    fn auto_always_gives_a_device_that_computes() {
        let device = DeviceChoice::Auto.resolve().unwrap();
        assert_eq!(crate::full(&[2], 1.5, crate::Dtype::Float32, &device).unwrap().to_float32().unwrap(), [1.5, 1.5]);
        assert!(!describe(&device).is_empty());
    }

    #[test]
    fn a_gpu_that_is_not_there_is_refused_with_a_reason() {
        let error = DeviceChoice::Cuda(4095).resolve().unwrap_err();
        assert!(error.to_string().contains("cuda:4095"), "{error}");
        assert!(!error.details().is_empty());
    }

    #[test]
    fn a_report_is_usable_exactly_when_nothing_is_missing() {
        let report = cuda_report();
        assert_eq!(report.usable(), report.missing.is_empty());
        if !cfg!(feature = "cuda") {
            assert!(report.missing.iter().any(|m| m.contains("--features cuda")), "{report:?}");
        }
    }
}

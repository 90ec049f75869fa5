//! The preflight for NVIDIA GPUs.
//!
//! burn's CUDA runtime compiles its kernels on the machine it runs on, so it
//! needs three things: the driver (`libcuda`), NVRTC, and the CUDA headers that
//! NVRTC includes. They are looked for in the places where cudarc 0.19 and
//! cubecl-cuda 0.11 will look for them.

use std::ffi::{CStr, c_char, c_int};
use std::fmt;
use std::path::{Path, PathBuf};

use burn::backend::DispatchDevice;
use burn::tensor::Device;
use libloading::{Library, Symbol};

use super::error::DeviceError;

/// Names under which the driver is loaded.
const DRIVER: [&str; 2] = ["libcuda.so.1", "libcuda.so"];
/// Names under which NVRTC is loaded, newest first.
const NVRTC: [&str; 5] = ["libnvrtc.so", "libnvrtc.so.13", "libnvrtc.so.12", "libnvrtc.so.11", "libnvrtc.so.1"];
/// Where a CUDA toolkit is looked for when `CUDA_PATH` is not set: the first of these roots whose sign is there. A
/// distribution's own packages put the compiler and the headers under `/usr`.
const TOOLKITS: [(&str, &str); 3] =
    [("/usr/local/cuda", "/usr/local/cuda"), ("/opt/cuda", "/opt/cuda"), ("/usr", "/usr/bin/nvcc")];
/// The headers that generated kernels include.
const HEADERS: [&str; 2] = ["cuda_runtime.h", "cuda_fp16.h"];

/// A GPU, as the driver describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GpuInfo {
    /// Marketing name: `NVIDIA H200`.
    pub name: String,
    /// Bytes of memory on the card.
    pub memory: u64,
}

/// What this machine has for CUDA, and what it lacks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CudaReport {
    /// Whether this binary was built with the feature `cuda`.
    pub compiled: bool,
    /// The driver's file name and the newest CUDA version it serves: `libcuda.so.1 (CUDA 12.8)`.
    pub driver: Option<String>,
    /// NVRTC's file name.
    pub nvrtc: Option<String>,
    /// The directory that holds the CUDA headers.
    pub headers: Option<PathBuf>,
    /// The GPUs the driver shows, in its order.
    pub devices: Vec<GpuInfo>,
    /// One sentence for each thing that is missing, with what to do about it.
    pub missing: Vec<String>,
}

impl CudaReport {
    /// True when a GPU can be used.
    pub fn usable(&self) -> bool {
        self.missing.is_empty()
    }
}

impl fmt::Display for CudaReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let found = |what: &Option<String>| what.clone().unwrap_or_else(|| "not found".into());
        writeln!(f, "built with CUDA: {}", if self.compiled { "yes" } else { "no" })?;
        writeln!(f, "driver: {}", found(&self.driver))?;
        writeln!(f, "NVRTC: {}", found(&self.nvrtc))?;
        writeln!(f, "headers: {}", found(&self.headers.as_ref().map(|p| p.display().to_string())))?;
        for (index, gpu) in self.devices.iter().enumerate() {
            writeln!(f, "cuda:{index}: {} ({} GiB)", gpu.name, gpu.memory >> 30)?;
        }
        for missing in &self.missing {
            writeln!(f, "missing: {missing}")?;
        }
        Ok(())
    }
}

/// Looks for all that CUDA needs. Loads libraries, but starts no context and
/// touches none of burn's CUDA.
pub fn cuda_report() -> CudaReport {
    let mut report = CudaReport { compiled: cfg!(feature = "cuda"), ..CudaReport::default() };
    if !report.compiled {
        report.missing.push("this binary was built without CUDA; build it with `--features cuda`".into());
    }
    match load(&DRIVER) {
        None => report.missing.push(format!(
            "the NVIDIA driver library {} was not found; install the NVIDIA driver (in a container, start it with GPU access)",
            DRIVER[0]
        )),
        Some((name, library)) => match Driver::start(&library) {
            Err(reason) => report.missing.push(format!("the NVIDIA driver {name} does not start: {reason}")),
            Ok(driver) => {
                let version = driver.version();
                report.driver = Some(format!("{name} (CUDA {}.{})", version / 1000, version % 1000 / 10));
                report.devices = driver.devices();
                if report.devices.is_empty() {
                    report.missing.push("the NVIDIA driver shows no GPU; check `nvidia-smi` and CUDA_VISIBLE_DEVICES".into());
                }
            }
        },
    }
    match load(&NVRTC) {
        Some((name, _)) => report.nvrtc = Some(name.into()),
        None => report.missing.push(
            "the CUDA run-time compiler libnvrtc was not found; install the CUDA toolkit (package cuda-nvrtc) and put it on LD_LIBRARY_PATH".into(),
        ),
    }
    match headers(std::env::var_os("CUDA_PATH").map(PathBuf::from)) {
        Ok(path) => report.headers = Some(path),
        Err(reason) => report.missing.push(reason),
    }
    report
}

/// The first of `names` that loads.
fn load(names: &[&'static str]) -> Option<(&'static str, Library)> {
    names.iter().find_map(|name| {
        // SAFETY: NVIDIA's libraries run no code on loading beyond their own set-up.
        let library = unsafe { Library::new(*name) }.ok()?;
        Some((*name, library))
    })
}

/// The include directory of the toolkit the runtime would use.
fn headers(cuda_path: Option<PathBuf>) -> Result<PathBuf, String> {
    let (root, from) = match cuda_path {
        Some(path) => (Some(path), "CUDA_PATH"),
        None => (toolkit(&TOOLKITS), "the toolkit"),
    };
    let advice = "install the CUDA toolkit's headers (packages cuda-cudart-dev and cuda-cccl) or point CUDA_PATH at a directory whose `include` has them";
    let Some(root) = root else {
        let roots = TOOLKITS.map(|(root, _)| root).join(" or ");
        return Err(format!("the CUDA headers were not found in {roots}; {advice}"));
    };
    let include = root.join("include");
    match HEADERS.iter().find(|header| !include.join(header).is_file()) {
        None => Ok(include),
        Some(header) => Err(format!("{from} ({}) has no include/{header}; {advice}", root.display())),
    }
}

/// The first root whose sign is there, whatever lies in it: the runtime looks no further.
fn toolkit(roots: &[(&str, &str)]) -> Option<PathBuf> {
    roots.iter().find(|(_, sign)| Path::new(sign).exists()).map(|(root, _)| PathBuf::from(root))
}

/// The few calls of the driver that the report makes.
struct Driver<'lib> {
    library: &'lib Library,
}

impl<'lib> Driver<'lib> {
    fn start(library: &'lib Library) -> Result<Self, String> {
        let driver = Self { library };
        let init = driver.symbol::<unsafe extern "C" fn(u32) -> c_int>(b"cuInit\0").ok_or("it has no cuInit")?;
        // SAFETY: cuInit takes flags, which must be zero, and may be called any number of times.
        match unsafe { init(0) } {
            0 => Ok(driver),
            100 => Err("it finds no CUDA device".into()),
            803 => Err("the driver's version does not match the kernel module; restart the machine".into()),
            code => Err(format!("cuInit answered {code}")),
        }
    }

    fn symbol<T>(&self, name: &[u8]) -> Option<Symbol<'lib, T>> {
        // SAFETY: each caller gives the signature of the CUDA driver API's function.
        unsafe { self.library.get(name) }.ok()
    }

    /// 1000 times the major version plus 10 times the minor; zero when unknown.
    fn version(&self) -> c_int {
        let mut version = 0;
        if let Some(get) = self.symbol::<unsafe extern "C" fn(*mut c_int) -> c_int>(b"cuDriverGetVersion\0") {
            // SAFETY: writes one int.
            unsafe { get(&mut version) };
        }
        version
    }

    fn devices(&self) -> Vec<GpuInfo> {
        let mut count = 0;
        if let Some(get) = self.symbol::<unsafe extern "C" fn(*mut c_int) -> c_int>(b"cuDeviceGetCount\0") {
            // SAFETY: writes one int.
            unsafe { get(&mut count) };
        }
        (0..count).map(|index| self.device(index)).collect()
    }

    fn device(&self, index: c_int) -> GpuInfo {
        let (mut handle, mut memory, mut name) = (0, 0usize, [0 as c_char; 256]);
        if let Some(get) = self.symbol::<unsafe extern "C" fn(*mut c_int, c_int) -> c_int>(b"cuDeviceGet\0") {
            // SAFETY: writes one device handle, which is an int.
            unsafe { get(&mut handle, index) };
        }
        if let Some(get) = self.symbol::<unsafe extern "C" fn(*mut c_char, c_int, c_int) -> c_int>(b"cuDeviceGetName\0")
        {
            // SAFETY: writes at most 255 bytes; the last of the array stays zero.
            unsafe { get(name.as_mut_ptr(), 255, handle) };
        }
        if let Some(get) = self.symbol::<unsafe extern "C" fn(*mut usize, c_int) -> c_int>(b"cuDeviceTotalMem_v2\0") {
            // SAFETY: writes one size.
            unsafe { get(&mut memory, handle) };
        }
        // SAFETY: the array was zeroed and at most 255 of its 256 bytes were written.
        let name = unsafe { CStr::from_ptr(name.as_ptr()) };
        GpuInfo { name: name.to_string_lossy().into_owned(), memory: memory as u64 }
    }
}

/// The GPU of this index, after the preflight and one trial computation.
pub(super) fn open(index: usize, report: &CudaReport) -> Result<Device, DeviceError> {
    let refusal = |details: Vec<String>| DeviceError { summary: format!("cuda:{index} cannot be used"), details };
    if !report.usable() {
        return Err(refusal(report.missing.clone()));
    }
    if index >= report.devices.len() {
        let highest = report.devices.len() - 1;
        return Err(refusal(vec![format!(
            "the driver shows {} GPU(s); the highest is cuda:{highest}",
            report.devices.len()
        )]));
    }
    start(index).map_err(|reason| refusal(vec![reason]))
}

/// Makes the context and computes `1 + 1`; the runtime panics when it cannot.
#[cfg(feature = "cuda")]
fn start(index: usize) -> Result<Device, String> {
    let trial = crate::error::guard("start", || -> crate::Result<Device> {
        let device = Device::cuda(index);
        let two = crate::full(&[1], 1.0, crate::Dtype::Float32, &device)?.add_scalar(1.0)?.item()?;
        if two == 2.0 { Ok(device) } else { Err(crate::TensorError::new("start", format!("1 + 1 gave {two}"))) }
    });
    trial.and_then(|device| device).map_err(|error| {
        format!("the CUDA runtime does not start ({}); check that the driver is as new as the toolkit", error.reason())
    })
}

#[cfg(not(feature = "cuda"))]
fn start(_index: usize) -> Result<Device, String> {
    Err("this binary was built without CUDA; build it with `--features cuda`".into())
}

/// A device of the CUDA runtime in words.
pub(super) fn describe(device: &DispatchDevice) -> String {
    use burn::backend::Device as _;
    let index = usize::from(device.to_id().index_id);
    match cuda_report().devices.get(index) {
        Some(gpu) => format!("cuda:{index} ({})", gpu.name),
        None => format!("cuda:{index}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_found_in_cuda_path_and_nowhere_else_when_it_is_set() {
        let root = std::env::temp_dir().join(format!("retune-cuda-headers-{}", std::process::id()));
        let include = root.join("include");
        std::fs::create_dir_all(&include).unwrap();
        std::fs::write(include.join("cuda_runtime.h"), "").unwrap();
        let error = headers(Some(root.clone())).unwrap_err();
        assert!(error.contains("cuda_fp16.h") && error.contains("CUDA_PATH"), "{error}");
        std::fs::write(include.join("cuda_fp16.h"), "").unwrap();
        assert_eq!(headers(Some(root.clone())), Ok(include));
        std::fs::remove_dir_all(root).unwrap();
    }

    #[test]
    fn a_toolkit_of_the_distribution_is_known_by_its_compiler() {
        let folder = tempdir("toolkit");
        let (root, sign) = (folder.to_string_lossy().into_owned(), folder.join("nvcc"));
        let (missing, sign) = (folder.join("none").to_string_lossy().into_owned(), sign.to_string_lossy().into_owned());
        let roots = [(missing.as_str(), missing.as_str()), (root.as_str(), sign.as_str())];
        assert_eq!(toolkit(&roots), None);
        std::fs::write(&sign, "").unwrap();
        assert_eq!(toolkit(&roots), Some(folder.clone()));
        std::fs::remove_dir_all(folder).unwrap();
    }

    fn tempdir(name: &str) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("retune-cuda-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        folder
    }

    #[test]
    fn a_machine_that_lacks_something_is_refused_with_each_missing_thing() {
        let missing = vec!["one".to_owned(), "two".to_owned()];
        let report = CudaReport { missing: missing.clone(), ..CudaReport::default() };
        let error = open(0, &report).unwrap_err();
        assert_eq!(error.details(), missing);
        assert_eq!(error.to_string(), "cuda:0 cannot be used: one; two");
    }

    #[test]
    fn an_index_beyond_the_last_gpu_is_refused_with_the_highest() {
        let gpu = GpuInfo { name: "GPU".into(), memory: 0 };
        let report = CudaReport { compiled: true, devices: vec![gpu.clone(), gpu], ..CudaReport::default() };
        assert!(open(2, &report).unwrap_err().to_string().contains("the highest is cuda:1"));
    }
}

//! Finds the CUDA libraries and opens them.
//!
//! cudarc opens them by bare name. That finds neither pip's wheels nor a toolkit of which the system's loader was not
//! told, and it panics where it finds nothing. So each library is asked for here before its first call: what the loader
//! cannot find is opened by its path and kept open, and from then on its bare name means what is open already.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use crate::kernels::cuda::driver::{CudaError, Result};

/// A library, loaded when a device is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Library {
    /// Comes with the NVIDIA driver.
    Driver,
    /// Compiles kernels.
    Nvrtc,
    /// Multiplies matrices.
    CublasLt,
}

impl Library {
    /// Makes sure that the library is there; calls into it do not panic afterwards. `newest` is the newest major
    /// version of CUDA that the driver understands, where that is known.
    ///
    /// # Errors
    /// Where it is not: one line that says what to do.
    pub(crate) fn require(self, newest: Option<u32>) -> Result<()> {
        /// Opening libraries from several threads would be safe, but would open them several times.
        static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
        let _guard = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);

        let variable = |name: &str| std::env::var_os(name);
        let mut broken = None;
        // What a person names goes before what the loader finds, and that before what a search finds.
        self.open_from(&named_folders(&variable), newest, &mut broken);
        if self.is_present() {
            return Ok(());
        }
        self.open_from(&usual_folders(&variable, Path::new("/")), newest, &mut broken);
        if self.is_present() { Ok(()) } else { Err(self.missing(newest, broken.as_deref())) }
    }

    /// The names of its files up to their version, in the order in which they must be opened.
    fn stems(self) -> &'static [&'static str] {
        match self {
            Self::Driver => &["libcuda.so"],
            // NVRTC opens its builtins by bare name.
            Self::Nvrtc => &["libnvrtc-builtins.so", "libnvrtc.so"],
            Self::CublasLt => &["libcublasLt.so"],
        }
    }

    /// Whether cudarc finds it.
    fn is_present(self) -> bool {
        // SAFETY: opening NVIDIA's libraries runs their initialisers, which ask nothing of us.
        unsafe {
            match self {
                Self::Driver => cudarc::driver::sys::is_culib_present(),
                Self::Nvrtc => cudarc::nvrtc::sys::is_culib_present(),
                Self::CublasLt => cudarc::cublaslt::sys::is_culib_present(),
            }
        }
    }

    /// Opens it from the first folder that has it in working order. What does not open is said in `broken`.
    fn open_from(self, folders: &[PathBuf], newest: Option<u32>, broken: &mut Option<String>) {
        for folder in folders {
            let files: Vec<_> = self.stems().iter().filter_map(|stem| pick(folder, stem, newest)).collect();
            if files.len() < self.stems().len() {
                continue;
            }
            let open = files.iter().try_for_each(|file| {
                // SAFETY: as above. Kept open for good, so that its name stays known.
                unsafe { libloading::Library::new(file) }.map(std::mem::forget).map_err(|e| (file, e))
            });
            match open {
                Ok(()) => return,
                Err((file, error)) => *broken = Some(format!("{} does not open: {error}", file.display())),
            }
        }
    }

    fn missing(self, newest: Option<u32>, broken: Option<&str>) -> CudaError {
        let wheel = match self {
            Self::Driver => None,
            Self::Nvrtc => Some("nvidia-cuda-nvrtc"),
            Self::CublasLt => Some("nvidia-cublas"),
        };
        let suffix = if newest == Some(12) { "-cu12" } else { "" };
        let advice = match wheel {
            None => "no NVIDIA driver here (libcuda.so.1 not found): a CUDA device needs one".to_owned(),
            Some(wheel) => format!(
                "{} not found: install the CUDA toolkit, or `pip install {wheel}{suffix}` in an active virtual \
                 environment, or name its folder in CUDA_LIB_DIR",
                self.stems().last().map_or("", |stem| stem.trim_end_matches(".so")),
            ),
        };
        CudaError::new(broken.map_or(advice.clone(), |broken| format!("{advice} ({broken})")))
    }
}

/// The value of an environment variable.
type Variable<'a> = &'a dyn Fn(&str) -> Option<OsString>;

/// Where CUDA_LIB_DIR says that libraries are: in its folders, or below them as in `site-packages/nvidia`.
fn named_folders(variable: Variable<'_>) -> Vec<PathBuf> {
    let Some(value) = variable("CUDA_LIB_DIR") else { return Vec::new() };
    let below = |folder: PathBuf| {
        let wheels = children(&folder, "").into_iter().map(|wheel| wheel.join("lib")).collect::<Vec<_>>();
        std::iter::once(folder).chain(wheels)
    };
    std::env::split_paths(&value).flat_map(below).collect()
}

/// Where libraries usually are below the system's `root`: pip's wheels, toolkits, the system's own folders.
fn usual_folders(variable: Variable<'_>, root: &Path) -> Vec<PathBuf> {
    let path = |name: &str| variable(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let environments = ["VIRTUAL_ENV", "CONDA_PREFIX"].into_iter().filter_map(path);
    let installed = path("HOME").map(|home| home.join(".local")).into_iter();
    let shared = ["usr/local", "usr"].into_iter().map(|folder| root.join(folder));
    let mut folders: Vec<_> =
        environments.chain(installed).chain(shared).flat_map(|p| wheel_folders(&p)).collect();

    let conda = path("CONDA_PREFIX").map(|prefix| prefix.join("lib")).into_iter();
    let toolkits = ["CUDA_HOME", "CUDA_PATH"].into_iter().filter_map(path);
    let toolkits = toolkits.chain(children(&root.join("usr/local"), "cuda")).chain([root.join("opt/cuda")]);
    folders.extend(conda.chain(toolkits.map(|toolkit| toolkit.join("lib64"))));

    let system =
        ["x86_64-linux-gnu", "aarch64-linux-gnu", "wsl/lib"].map(|folder| root.join("usr/lib").join(folder));
    folders.extend(system.into_iter().chain([root.join("usr/lib64"), root.join("usr/local/nvidia/lib64")]));
    folders
}

/// Where pip puts NVIDIA's libraries in a Python environment: `lib/python3.N/site-packages/nvidia/cu13/lib`.
fn wheel_folders(environment: &Path) -> Vec<PathBuf> {
    let libraries = ["lib", "lib64"].into_iter().map(|lib| environment.join(lib));
    let pythons = libraries.flat_map(|lib| children(&lib, "python3"));
    let packages = pythons.flat_map(|p| [p.join("site-packages/nvidia"), p.join("dist-packages/nvidia")]);
    packages.flat_map(|nvidia| children(&nvidia, "")).map(|wheel| wheel.join("lib")).collect()
}

/// What in `folder` has a name that begins so, the last name first: of versions, mostly the newest.
fn children(folder: &Path, prefix: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut found: Vec<_> =
        entries.filter(|e| e.file_name().to_string_lossy().starts_with(prefix)).map(|e| e.path()).collect();
    found.sort_unstable_by(|a, b| b.cmp(a));
    found
}

/// The newest file of a library in `folder` that a driver of this version understands.
fn pick(folder: &Path, stem: &str, newest: Option<u32>) -> Option<PathBuf> {
    let version = |path: &Path| -> Option<Vec<u32>> {
        let name = path.file_name()?.to_str()?;
        let rest = name.strip_prefix(stem)?;
        rest.split('.').skip(1).map(|number| number.parse().ok()).collect()
    };
    let files = children(folder, stem).into_iter().filter_map(|path| Some((version(&path)?, path)));
    let usable = files.filter(|(version, _)| match (version.first(), newest) {
        (Some(major), Some(newest)) => *major <= newest,
        _ => true,
    });
    usable.max().map(|(_, path)| path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::cuda::card::testing::Folder;

    fn environment<'a>(variables: &'a [(&'a str, &'a Path)]) -> impl Fn(&str) -> Option<OsString> + 'a {
        |name| variables.iter().find(|(n, _)| *n == name).map(|(_, value)| value.as_os_str().to_owned())
    }

    #[test]
    fn wheels_are_found_in_a_virtual_environment() {
        let root = Folder::new("wheels");
        let lib = root.file("venv/lib/python3.12/site-packages/nvidia/cu13/lib/libnvrtc.so.13", "");
        root.file("usr/local/cuda-12.4/lib64/libnvrtc.so.12", "");
        let folders = usual_folders(&environment(&[("VIRTUAL_ENV", &root.path().join("venv"))]), root.path());
        let first = folders.iter().find_map(|folder| pick(folder, "libnvrtc.so", None));
        assert_eq!(first, Some(lib), "the environment goes before the system");
        let without = usual_folders(&environment(&[]), root.path());
        let first = without.iter().find_map(|folder| pick(folder, "libnvrtc.so", None));
        assert_eq!(first, Some(root.path().join("usr/local/cuda-12.4/lib64/libnvrtc.so.12")));
        // A driver of CUDA 12 cannot use the wheel of 13.
        let older = folders.iter().find_map(|folder| pick(folder, "libnvrtc.so", Some(12)));
        assert_eq!(older, first);
    }

    #[test]
    fn a_named_folder_may_hold_files_or_wheels() {
        let root = Folder::new("named");
        let plain = root.file("plain/libcublasLt.so.13", "");
        let wheel = root.file("nvidia/cublas/lib/libcublasLt.so.12", "");
        let value = std::env::join_paths([root.path().join("plain"), root.path().join("nvidia")]).unwrap();
        let folders = named_folders(&environment(&[("CUDA_LIB_DIR", Path::new(&value))]));
        let found: Vec<_> = folders.iter().filter_map(|f| pick(f, "libcublasLt.so", None)).collect();
        assert_eq!(found, [plain, wheel]);
        assert!(named_folders(&environment(&[])).is_empty());
    }

    #[test]
    fn the_newest_version_is_picked_and_other_names_are_not() {
        let root = Folder::new("versions");
        for name in
            ["libnvrtc.so", "libnvrtc.so.9", "libnvrtc.so.12.4.1", "libnvrtc.so.bak", "libnvrtc.alt.so.13"]
        {
            root.file(name, "");
        }
        let name = |newest| pick(root.path(), "libnvrtc.so", newest).unwrap().file_name().unwrap().to_owned();
        assert_eq!(name(None), "libnvrtc.so.12.4.1");
        assert_eq!(name(Some(11)), "libnvrtc.so.9");
        assert_eq!(pick(root.path(), "libcuda.so", None), None);
    }

    #[test]
    fn a_file_that_is_no_library_is_named() {
        let root = Folder::new("broken");
        root.file("libnvrtc.so.13", "no library");
        let builtins = root.file("libnvrtc-builtins.so.13.0", "no library");
        let mut broken = None;
        Library::Nvrtc.open_from(&[root.path().to_owned()], None, &mut broken);
        let message = Library::Nvrtc.missing(None, broken.as_deref()).to_string();
        assert!(message.contains(&format!("{} does not open: ", builtins.display())), "{message}");
    }

    #[test]
    fn what_is_missing_is_said_in_one_line() {
        let line = |library: Library, newest| library.missing(newest, None).to_string();
        assert_eq!(
            line(Library::Driver, None),
            "no NVIDIA driver here (libcuda.so.1 not found): a CUDA device needs one"
        );
        assert_eq!(
            line(Library::Nvrtc, Some(13)),
            "libnvrtc not found: install the CUDA toolkit, or `pip install nvidia-cuda-nvrtc` in an active virtual \
             environment, or name its folder in CUDA_LIB_DIR"
        );
        assert!(line(Library::CublasLt, Some(12)).contains("`pip install nvidia-cublas-cu12`"));
    }
}

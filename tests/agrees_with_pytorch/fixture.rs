//! A file of PyTorch's numbers, case by case.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use gradus::autograd::{Float, Gradients, Ids, Parameters, Shape, Tensor};
use gradus::nn::Sentences;
use safetensors::{Dtype, SafeTensors};

/// The files that the tests read.
const FILES: [&str; 4] = ["adam", "layers", "ops", "transformer"];

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/pytorch")
}

/// What comes out of a case, by its key.
pub(super) type Results = BTreeMap<String, Tensor<f64>>;

/// The cases of a file that have not been taken yet.
pub(super) struct Fixture {
    file: &'static str,
    cases: BTreeMap<String, Case>,
}

/// The numbers of one case, and which of them have been read.
pub(super) struct Case {
    pub(super) name: String,
    tensors: BTreeMap<String, Tensor<f64>>,
    read: RefCell<BTreeSet<String>>,
}

impl Fixture {
    pub(super) fn read(file: &'static str) -> Self {
        assert!(FILES.contains(&file));
        let path = folder().join(file).with_extension("safetensors");
        let bytes = fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let mut cases = BTreeMap::new();
        for (name, view) in SafeTensors::deserialize(&bytes).unwrap().tensors() {
            let (case, key) = name.split_once('/').expect("a name is CASE/KEY");
            let data = numbers(view.dtype(), view.data());
            cases
                .entry(case.to_owned())
                .or_insert_with_key(|name: &String| Case {
                    name: name.clone(),
                    tensors: BTreeMap::new(),
                    read: RefCell::default(),
                })
                .tensors
                .insert(key.to_owned(), Tensor::new(Shape::from(view.shape()), data));
        }
        Self { file, cases }
    }

    /// The numbers of a case, each case once.
    pub(super) fn take(&mut self, name: &str) -> Case {
        self.cases.remove(name).unwrap_or_else(|| {
            panic!("{}.safetensors has no case {name:?}: add it to make.py, or take it once", self.file)
        })
    }

    /// Ends the reading of a file.
    pub(super) fn finish(self) {
        let left: Vec<_> = self.cases.into_keys().collect();
        assert!(left.is_empty(), "{}.safetensors: no test reads {left:?}", self.file);
    }
}

/// The entries as `f64`, which holds all that are stored exactly.
fn numbers(dtype: Dtype, bytes: &[u8]) -> Vec<f64> {
    match dtype {
        Dtype::F64 => bytes.chunks_exact(8).map(|x| f64::from_le_bytes(x.try_into().unwrap())).collect(),
        Dtype::F32 => {
            bytes.chunks_exact(4).map(|x| f32::from_le_bytes(x.try_into().unwrap()).into()).collect()
        }
        Dtype::I64 => {
            bytes.chunks_exact(8).map(|x| i64::from_le_bytes(x.try_into().unwrap()) as f64).collect()
        }
        _ => panic!("make.py writes no {dtype:?}"),
    }
}

impl Case {
    /// A number that goes in, or what PyTorch got.
    pub(super) fn tensor(&self, key: &str) -> &Tensor<f64> {
        self.read.borrow_mut().insert(key.to_owned());
        self.tensors.get(key).unwrap_or_else(|| panic!("case {:?} has no {key}", self.name))
    }

    /// The inputs `input.0`, `input.1` and so on.
    pub(super) fn inputs<T: Float>(&self) -> Vec<Tensor<T>> {
        let keys = (0..).map(|i| format!("input.{i}")).take_while(|key| self.tensors.contains_key(key));
        keys.map(|key| self.tensor(&key).cast()).collect()
    }

    /// Whole numbers of any shape.
    pub(super) fn ids(&self, key: &str) -> Ids {
        let tensor = self.tensor(key);
        let ids: Vec<u32> = tensor.as_slice().iter().map(|&id| id as u32).collect();
        Ids::new(tensor.shape(), ids)
    }

    /// The lengths of sentences.
    pub(super) fn lengths(&self, key: &str) -> Vec<usize> {
        self.tensor(key).as_slice().iter().map(|&length| length as usize).collect()
    }

    pub(super) fn sentences(&self, ids: &str, lengths: &str) -> Sentences {
        Sentences::padded(self.ids(ids), self.lengths(lengths))
    }

    /// Puts the stored parameters into a model that has just these.
    pub(super) fn load<T: Float>(&self, model: &mut impl Parameters<T>) {
        let mut known = BTreeSet::new();
        model.for_each_mut(|path, param| {
            let value = self.tensor(&format!("parameter.{path}"));
            assert_eq!(value.shape(), param.value().shape(), "{}: {path}", self.name);
            *param.value_mut() = value.cast();
            known.insert(path.to_owned());
        });
        let stored = self.tensors.keys().filter_map(|key| key.strip_prefix("parameter."));
        let strange: Vec<_> = stored.filter(|path| !known.contains(*path)).collect();
        assert!(strange.is_empty(), "{}: our model has no {strange:?}", self.name);
    }

    /// What PyTorch got in this type.
    pub(super) fn expected(&self, dtype: &str) -> Results {
        let keys: Vec<_> =
            self.tensors.keys().filter_map(|key| key.strip_prefix(dtype)?.strip_prefix('.')).collect();
        keys.into_iter().map(|key| (key.to_owned(), self.tensor(&format!("{dtype}.{key}")).clone())).collect()
    }

    /// Ends the reading of a case.
    pub(super) fn finish(self) {
        let read = self.read.into_inner();
        let left: Vec<_> = self.tensors.into_keys().filter(|key| !read.contains(key)).collect();
        assert!(left.is_empty(), "case {:?}: no test reads {left:?}", self.name);
    }
}

/// The gradients of all parameters of a model, under `gradient.` and their paths.
pub(super) fn gradients_of<T: Float>(model: &impl Parameters<T>, gradients: &Gradients<T>) -> Results {
    let of = |param| gradients.get(param).map_or_else(|| Tensor::zeros(param.value().shape()), Tensor::cast);
    model.parameters().into_iter().map(|(path, param)| (format!("gradient.{path}"), of(param))).collect()
}

#[test]
fn every_file_of_pytorchs_numbers_is_read() {
    let files = fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().path());
    let tensors = files.filter(|path| path.extension().is_some_and(|extension| extension == "safetensors"));
    let mut names: Vec<_> =
        tensors.map(|path| path.file_stem().unwrap().to_string_lossy().into_owned()).collect();
    names.sort_unstable();
    assert_eq!(names, FILES);
}

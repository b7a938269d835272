//! Trainable parameters and the paths they are known by.

use std::fmt::{self, Display, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, Weak};

use crate::kernels::cpu::panels::Panels;
use crate::{Float, Tensor};

/// Tells parameters apart within this process.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct ParamId(u64);

impl Display for ParamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{}", self.0)
    }
}

/// A tensor that training changes.
pub struct Param<T: Float = f32> {
    name: WeakParam,
    /// What `name` sees the end of.
    _alive: Arc<()>,
    value: Tensor<T>,
    /// Made of the value when it is first wanted; gone when the value changes.
    panels: OnceLock<Panels<T>>,
    frozen: bool,
}

impl<T: Float> Param<T> {
    /// A new parameter with this first value.
    pub fn new(value: Tensor<T>) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let id = ParamId(NEXT.fetch_add(1, Ordering::Relaxed));
        let alive = Arc::new(());
        let name = WeakParam { id, first: id, alive: Arc::downgrade(&alive) };
        Self { name, _alive: alive, value, panels: OnceLock::new(), frozen: false }
    }

    /// What tells it from other parameters.
    pub fn id(&self) -> ParamId {
        self.name.id
    }

    /// Names it without keeping it, for state that belongs to it.
    pub fn downgrade(&self) -> WeakParam {
        self.name.clone()
    }

    /// Its value.
    pub fn value(&self) -> &Tensor<T> {
        &self.value
    }

    /// Its value, to change. The shape must stay.
    pub fn value_mut(&mut self) -> &mut Tensor<T> {
        self.panels.take();
        &mut self.value
    }

    /// From now on it stays as it is: tapes take it for data, so that no gradient is computed for it and no optimiser moves
    /// it. Copies are frozen too.
    pub fn freeze(&mut self) {
        self.frozen = true;
    }

    /// Whether it was frozen.
    pub fn is_frozen(&self) -> bool {
        self.frozen
    }

    /// Its value, a weight `[O, I]`, in the order in which few rows are multiplied with it: made once, for translating.
    pub(crate) fn panels(&self) -> &Panels<T> {
        self.panels.get_or_init(|| Panels::new(self.value.as_slice(), self.value.shape().last()))
    }
}

/// A copy is a parameter of its own: it starts at the same value and has another identity.
impl<T: Float> Clone for Param<T> {
    fn clone(&self) -> Self {
        let mut copy = Self::new(self.value.clone());
        (copy.name.first, copy.frozen) = (self.name.first, self.frozen);
        copy
    }
}

/// The name of a parameter that may be gone. What keeps state for parameters, as an optimiser does, tells by it whether a
/// parameter is the one that the state is of.
///
/// ```
/// use autograd::{Param, Tensor};
/// let param = Param::new(Tensor::scalar(1.0f32));
/// let name = param.downgrade();
/// let copy = param.clone();
/// assert!(name.is(&param) && !name.is(&copy));
/// drop(param);
/// assert!(name.is(&copy), "the copy has taken its place");
/// ```
#[derive(Clone, Debug)]
pub struct WeakParam {
    id: ParamId,
    /// What it is a copy of, by however many steps: itself where it is none.
    first: ParamId,
    alive: Weak<()>,
}

impl WeakParam {
    /// What told it from other parameters.
    pub fn id(&self) -> ParamId {
        self.id
    }

    /// Whether this is the parameter, or a copy that stands in its place because the parameter itself is gone.
    pub fn is<T: Float>(&self, param: &Param<T>) -> bool {
        let copied = self.first == param.name.first && self.alive.strong_count() == 0;
        self.id == param.name.id || copied
    }
}

impl<T: Float> fmt::Debug for Param<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Param {}", self.value.shape())
    }
}

/// Anything that has parameters: a layer, a model. Implemented with [`parameters!`](crate::parameters).
///
/// Paths such as `encoder.layers.0.self_attn.q_proj.weight` are what optimiser state, checkpoints and errors speak in.
/// The order of a visit is that of the fields, and is always the same.
pub trait Parameters<T: Float> {
    /// Calls `f` with the path and value of every parameter below `path`.
    fn visit<'a>(&'a self, path: &mut Path, f: &mut dyn FnMut(&str, &'a Param<T>));

    /// The same, to change them.
    fn visit_mut<'a>(&'a mut self, path: &mut Path, f: &mut dyn FnMut(&str, &'a mut Param<T>));

    /// All parameters with their paths.
    fn parameters(&self) -> Vec<(String, &Param<T>)> {
        let mut all = Vec::new();
        self.visit(&mut Path::default(), &mut |path, param| all.push((path.to_owned(), param)));
        all
    }

    /// All parameters with their paths, to change them.
    fn parameters_mut(&mut self) -> Vec<(String, &mut Param<T>)> {
        let mut all = Vec::new();
        self.visit_mut(&mut Path::default(), &mut |path, param| all.push((path.to_owned(), param)));
        all
    }

    /// Calls `f` with every parameter, to change it.
    fn for_each_mut(&mut self, mut f: impl FnMut(&str, &mut Param<T>))
    where
        Self: Sized,
    {
        self.visit_mut(&mut Path::default(), &mut f);
    }

    /// The number of entries in all parameters.
    fn parameter_count(&self) -> usize {
        self.parameters().iter().map(|(_, param)| param.value().len()).sum()
    }
}

/// The place in a model that a visit has reached.
#[derive(Clone, Debug, Default)]
pub struct Path(String);

impl Path {
    /// Runs `f` one segment further down.
    pub fn at<R>(&mut self, segment: impl Display, f: impl FnOnce(&mut Self) -> R) -> R {
        let length = self.0.len();
        if length > 0 {
            self.0.push('.');
        }
        write!(self.0, "{segment}").expect("writing to a string cannot fail");
        let result = f(self);
        self.0.truncate(length);
        result
    }

    /// The path as text, segments joined by dots.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl<T: Float> Parameters<T> for Param<T> {
    fn visit<'a>(&'a self, path: &mut Path, f: &mut dyn FnMut(&str, &'a Self)) {
        f(path.as_str(), self);
    }
    fn visit_mut<'a>(&'a mut self, path: &mut Path, f: &mut dyn FnMut(&str, &'a mut Self)) {
        f(path.as_str(), self);
    }
}

/// No parameters: for tables and checks of what has only inputs.
impl<T: Float> Parameters<T> for () {
    fn visit<'a>(&'a self, _: &mut Path, _: &mut dyn FnMut(&str, &'a Param<T>)) {}
    fn visit_mut<'a>(&'a mut self, _: &mut Path, _: &mut dyn FnMut(&str, &'a mut Param<T>)) {}
}

impl<T: Float, P: Parameters<T>> Parameters<T> for Option<P> {
    fn visit<'a>(&'a self, path: &mut Path, f: &mut dyn FnMut(&str, &'a Param<T>)) {
        if let Some(part) = self {
            part.visit(path, f);
        }
    }
    fn visit_mut<'a>(&'a mut self, path: &mut Path, f: &mut dyn FnMut(&str, &'a mut Param<T>)) {
        if let Some(part) = self {
            part.visit_mut(path, f);
        }
    }
}

impl<T: Float, P: Parameters<T>> Parameters<T> for Vec<P> {
    fn visit<'a>(&'a self, path: &mut Path, f: &mut dyn FnMut(&str, &'a Param<T>)) {
        for (i, part) in self.iter().enumerate() {
            path.at(i, |path| part.visit(path, f));
        }
    }
    fn visit_mut<'a>(&'a mut self, path: &mut Path, f: &mut dyn FnMut(&str, &'a mut Param<T>)) {
        for (i, part) in self.iter_mut().enumerate() {
            path.at(i, |path| part.visit_mut(path, f));
        }
    }
}

/// Implements [`Parameters`] for a struct generic over its number type, by naming the fields that hold parameters:
/// `parameters!(Linear { weight, bias })`.
#[macro_export]
macro_rules! parameters {
    ($name:ident { $($field:ident),* $(,)? }) => {
        impl<T: $crate::Float> $crate::Parameters<T> for $name<T> {
            fn visit<'a>(&'a self, path: &mut $crate::Path, f: &mut dyn FnMut(&str, &'a $crate::Param<T>)) {
                $( path.at(stringify!($field), |path| $crate::Parameters::visit(&self.$field, path, f)); )*
            }
            fn visit_mut<'a>(&'a mut self, path: &mut $crate::Path, f: &mut dyn FnMut(&str, &'a mut $crate::Param<T>)) {
                $( path.at(stringify!($field), |path| $crate::Parameters::visit_mut(&mut self.$field, path, f)); )*
            }
        }
    };
}

//! Rows of a table, picked by ids.

use crate::op::{Backward, Op};
use crate::tape::Var;
use crate::{Float, Ids, Shape, Tensor};

/// `y[i] = table[ids[i]]`: from a table `[V, D]` and ids of any shape to `[.., D]`. Gradients are added row by row in the
/// order of the ids, so they come out the same every time.
#[derive(Debug)]
pub struct Embedding {
    /// The rows to pick.
    pub ids: Ids,
}

impl<T: Float> Op<T, 1> for Embedding {
    type Saved = ();
    const NAME: &'static str = "embedding";
    const RULE: &'static str = "dE[ids] += dy";

    fn forward(&self, [table]: [&Tensor<T>; 1]) -> (Tensor<T>, ()) {
        let shape = shape(table, &self.ids);
        (table.alike(shape, |kernels, y| kernels.embedding(table, &self.ids, y)), ())
    }

    fn backward(&self, _: &(), cx: Backward<'_, T, 1>) {
        let [dtable] = cx.grads;
        dtable.write(|kernels, out, keep| kernels.embedding_backward(cx.dy, &self.ids, out, keep));
    }
}

/// The shape of the rows of `table` that `ids` name.
#[track_caller]
pub(crate) fn shape<T: Float>(table: &Tensor<T>, ids: &Ids) -> Shape {
    let &[rows, n] = table.shape().as_slice() else {
        panic!("embedding: the table must be [V, D], not {}", table.shape())
    };
    if let Some(id) = ids.as_slice().iter().find(|&&id| id as usize >= rows) {
        panic!("embedding: id {id} is not among the {rows} rows of the table");
    }
    let sizes: Vec<usize> = ids.shape().iter().copied().chain([n]).collect();
    Shape::of("embedding", &sizes)
}

impl<'t, T: Float> Var<'t, T> {
    /// The rows of this table `[V, D]` that `ids` name.
    ///
    /// # Panics
    /// Where it is no table, or has no such row.
    #[track_caller]
    pub fn embedding(self, ids: &Ids) -> Self {
        self.tape.apply(Embedding { ids: ids.clone() }, [self])
    }
}

cases! {
    "embedding" [[5, 3]] |tape, table| table.embedding(&Ids::new([2, 3], [4, 0, 1, 4, 4, 2]));
}

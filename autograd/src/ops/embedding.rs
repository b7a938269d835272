//! Rows of a table, picked by ids.

use crate::kernels::cpu::elementwise::add_assign;
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
        let &[rows, n] = table.shape().as_slice() else {
            panic!("embedding: the table must be [V, D], not {}", table.shape())
        };
        let ids = self.ids.as_slice();
        if let Some(id) = ids.iter().find(|&&id| id as usize >= rows) {
            panic!("embedding: id {id} is not among the {rows} rows of the table");
        }
        let shape: Vec<usize> = self.ids.shape().iter().copied().chain([n]).collect();
        let y = Tensor::fill_with(Shape::from(shape.as_slice()), |y| {
            for (y, &id) in y.chunks_exact_mut(n).zip(ids) {
                y.copy_from_slice(&table.as_slice()[id as usize * n..][..n]);
            }
        });
        (y, ())
    }

    fn backward(&self, _: &(), cx: Backward<'_, T, 1>) {
        let ([table], [dtable]) = (cx.inputs, cx.grads);
        let n = table.shape()[1];
        dtable.accumulate(|out, keep| {
            if !keep {
                out.fill(T::ZERO);
            }
            for (dy, &id) in cx.dy.as_slice().chunks_exact(n).zip(self.ids.as_slice()) {
                add_assign(&mut out[id as usize * n..][..n], dy);
            }
        });
    }
}

impl<'t, T: Float> Var<'t, T> {
    /// The rows of this table `[V, D]` that `ids` name.
    #[track_caller]
    pub fn embedding(self, ids: &Ids) -> Self {
        self.tape.apply(Embedding { ids: ids.clone() }, [self])
    }
}

cases! {
    "embedding" [[5, 3]] |tape, table| table.embedding(&Ids::new([2, 3], [4, 0, 1, 4, 4, 2]));
}

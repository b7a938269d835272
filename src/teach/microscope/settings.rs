//! The settings of a node's op that a page needs to do its arithmetic.

use autograd::ops::cross_entropy::CrossEntropy;
use autograd::ops::dropout::Dropout;
use autograd::ops::embedding::Embedding;
use autograd::ops::layer_norm::LayerNorm;
use autograd::ops::masked_softmax::MaskedSoftmax;
use autograd::ops::matmul::MatMul;
use autograd::ops::permute::Permute;
use autograd::ops::scale::Scale;
use autograd::{Key, NodeInfo, Tape, Tensor};
use serde_json::{Value, json};

/// What the page needs of one node; null where that is nothing.
pub(super) fn settings(tape: &Tape<f64>, node: &NodeInfo) -> Value {
    let id = node.id;
    let found = match node.op {
        "scale" => tape.op_of(id, |op: &Scale| json!({ "factor": op.factor })),
        "permute" => tape.op_of(id, |op: &Permute| json!({ "order": op.order })),
        "matmul" => tape.op_of(id, |op: &MatMul| json!({ "ta": op.transpose_a, "tb": op.transpose_b })),
        "layer_norm" => tape.op_of(id, |op: &LayerNorm| json!({ "epsilon": op.epsilon })),
        "embedding" => tape.op_of(id, |op: &Embedding| json!({ "ids": op.ids.as_slice() })),
        "dropout" => {
            // What is kept is a function of the op's key; run on ones, the op shows it.
            let ones = Tensor::full(node.shape, 1.0);
            let kept = tape.rerun(id, &[&ones]).map(|y| flags(y.as_slice().iter().map(|&y| y != 0.0)));
            // What the next key would keep: a bug that may be planted.
            let drawn = |op: &Dropout| {
                let (tape, key) = (Tape::infer(), Key::from(op.key.value() + 1));
                let y = tape.apply(Dropout { p: op.p, key }, [tape.constant(ones.clone())]).value();
                flags(y.as_slice().iter().map(|&y: &f64| y != 0.0))
            };
            tape.op_of(id, |op: &Dropout| json!({ "p": op.p, "kept": kept, "other": drawn(op) }))
        }
        "masked_softmax" => tape.op_of(id, |op: &MaskedSoftmax| {
            json!({ "keep": flags(op.keep.as_slice().iter().copied()), "keep_shape": op.keep.shape().as_slice() })
        }),
        "cross_entropy" => tape.op_of(id, |op: &CrossEntropy| {
            json!({
                "targets": op.targets.as_slice(),
                "smoothing": op.smoothing,
                "ignore": op.ignore,
                "weight": op.weight,
            })
        }),
        _ => None,
    };
    found.unwrap_or(Value::Null)
}

/// `101` for kept, dropped, kept.
fn flags(kept: impl Iterator<Item = bool>) -> String {
    kept.map(|kept| if kept { '1' } else { '0' }).collect()
}

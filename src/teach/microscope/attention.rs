//! Attention, found on a tape by its shape: softmax of a scaled product, multiplied with values.

use serde::Serialize;

use super::record::NodeRecord;

/// The nodes of one attention, all heads of it: `[B, H, T, d]`, `[B, H, T, S]`.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Block {
    pub(super) q: usize,
    pub(super) k: usize,
    pub(super) v: usize,
    /// Q·Kᵀ, before the scale.
    pub(super) products: usize,
    /// S = Q·Kᵀ/√d.
    pub(super) scores: usize,
    /// A, the weights.
    pub(super) weights: usize,
    /// A after dropout; `weights` where there is none.
    pub(super) dropped: usize,
    /// O = A·V.
    pub(super) context: usize,
}

/// All attention on the tape.
pub(super) fn blocks(nodes: &[NodeRecord]) -> Vec<Block> {
    let softmax = |node: &&NodeRecord| matches!(node.op, "masked_softmax" | "softmax");
    let places = nodes.iter().enumerate().filter(|(_, node)| softmax(node)).map(|(place, _)| place);
    places.filter_map(|weights| block(nodes, weights)).collect()
}

fn block(nodes: &[NodeRecord], weights: usize) -> Option<Block> {
    let reader = |of: usize, op: &str| {
        (nodes.iter().enumerate()).find(|(_, node)| node.op == op && node.inputs.first() == Some(&of))
    };
    let input = |of: usize, place: usize| nodes[of].inputs.get(place).copied();
    let is = |node: usize, op: &str| nodes[node].op == op;
    let scores = input(weights, 0).filter(|&node| is(node, "scale"))?;
    let products = input(scores, 0).filter(|&node| is(node, "matmul"))?;
    let (q, k) = (input(products, 0)?, input(products, 1)?);
    let dropped = reader(weights, "dropout").map_or(weights, |(node, _)| node);
    let (context, reading) = reader(dropped, "matmul")?;
    let v = *reading.inputs.get(1)?;
    (nodes[q].value.shape().rank() == 4).then_some(Block {
        q,
        k,
        v,
        products,
        scores,
        weights,
        dropped,
        context,
    })
}

//! How numbers travel in the page: base64 of their bytes, in `f64` where there is room.

use autograd::Tensor;
use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;

use super::record::{Microscope, NodeRecord, Term};

/// What a page keeps of a record. Each keeps less than the one before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Detail {
    /// Everything in `f64`.
    Double,
    /// Attention and layer normalisation, where the page computes invariants, in `f64`; the rest in `f32`.
    Mixed,
    /// The same without the gradients of weight matrices, which the page can compute.
    Lean,
    /// All of that in `f32`, with about seven digits.
    Single,
    /// Without parameters that are matrices.
    NoWeights,
    /// Without what the page can compute entry by entry, and without the tensors of planted bugs.
    Rules,
}

impl Detail {
    const ALL: [Self; 6] =
        [Self::Double, Self::Mixed, Self::Lean, Self::Single, Self::NoWeights, Self::Rules];

    /// What the page calls it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Double => "f64",
            Self::Mixed | Self::Lean => "mixed",
            _ => "f32",
        }
    }

    /// The most that keeps the numbers of a page below this many bytes.
    pub(super) fn within(record: &Microscope, bytes: usize) -> Self {
        let fits = |detail: &Self| detail.bytes(record) <= bytes;
        Self::ALL.into_iter().find(fits).unwrap_or(Self::Rules)
    }

    fn bytes(self, record: &Microscope) -> usize {
        let node = |(place, node): (usize, &NodeRecord)| {
            let of = |x: &Tensor<f64>| {
                let width = if self.double(record, place, x) { 8 } else { 4 };
                (x.len() * width).div_ceil(3) * 4
            };
            let value = if self.keeps_value(node) { of(&node.value) } else { 0 };
            let gradient = node.gradient.as_ref().filter(|_| self.keeps_gradient(record, place));
            let terms = node.terms.iter().filter(|term| self.keeps_term(record, node, term));
            let terms = terms.map(|term| of(&term.value));
            value + gradient.map_or(0, of) + terms.sum::<usize>()
        };
        record.nodes.iter().enumerate().map(node).sum()
    }

    /// Whether a value is in the page. What only moves numbers is read off its input.
    pub(super) fn keeps_value(self, node: &NodeRecord) -> bool {
        let table = node.op == "param" && node.value.shape().rank() >= 2;
        !moves(node) && (self < Self::NoWeights || !table) && (self < Self::Rules || !by_entry(node))
    }

    /// Whether a gradient is in the page. One that comes from a reader that only moves numbers is read off that.
    pub(super) fn keeps_gradient(self, record: &Microscope, place: usize) -> bool {
        let node = &record.nodes[place];
        let given = |reader: &NodeRecord| moves(reader) || (self >= Self::Rules && hands_on(reader, node));
        let moved = matches!(&node.terms[..], [term] if given(&record.nodes[term.from]));
        let table = node.op == "param" && node.value.shape().rank() >= 2 && self >= Self::Lean;
        !moved && !table
    }

    /// Whether a term of a sum is in the page: where there are several, and of no table.
    pub(super) fn keeps_term(self, record: &Microscope, node: &NodeRecord, term: &Term) -> bool {
        let given = self >= Self::Rules && hands_on(&record.nodes[term.from], node);
        node.terms.len() > 1 && node.op != "param" && !given
    }

    /// A value or gradient of a node as the page reads it.
    pub(super) fn encode(self, record: &Microscope, place: usize, x: &Tensor<f64>) -> String {
        encode(x, self.double(record, place, x))
    }

    /// Whether a tensor needs `f64`: weights that were trained in `f32` lose nothing in `f32`.
    fn double(self, record: &Microscope, place: usize, x: &Tensor<f64>) -> bool {
        let wanted = match self {
            Self::Double => true,
            Self::Mixed | Self::Lean => matters(record, place),
            _ => false,
        };
        wanted && !fits(x)
    }
}

/// Whether the page computes invariants with the numbers of a node.
fn matters(record: &Microscope, place: usize) -> bool {
    let norm = |node: &NodeRecord| node.op == "layer_norm";
    let read = record.nodes[place].terms.iter().any(|term| norm(&record.nodes[term.from]));
    let in_attention = record.blocks.iter().any(|block| {
        let &super::attention::Block { q, k, v, products, scores, weights, dropped, context } = block;
        [q, k, v, products, scores, weights, dropped, context].contains(&place)
            || [q, k, v].iter().any(|&part| moved_from(record, part).contains(&place))
    });
    norm(&record.nodes[place]) || read || in_attention
}

/// The nodes whose numbers a node only moves: of the queries of all heads, the projection.
fn moved_from(record: &Microscope, place: usize) -> Vec<usize> {
    let mut path = vec![place];
    while let Some(&last) = path.last().filter(|&&last| moves(&record.nodes[last])) {
        path.push(record.nodes[last].inputs[0]);
    }
    path
}

/// Whether `f32` holds every bit.
fn fits(x: &Tensor<f64>) -> bool {
    x.as_slice().iter().all(|&x| f64::from(x as f32).to_bits() == x.to_bits())
}

/// `d` for `f64`, `e` for `f32` that loses nothing, `f` for `f32` that does; then the bytes in base64.
pub(super) fn encode(x: &Tensor<f64>, double: bool) -> String {
    if double {
        let bytes: Vec<u8> = x.as_slice().iter().flat_map(|x| x.to_le_bytes()).collect();
        format!("d{}", STANDARD_NO_PAD.encode(bytes))
    } else {
        let bytes: Vec<u8> = x.as_slice().iter().flat_map(|&x| (x as f32).to_le_bytes()).collect();
        format!("{}{}", if fits(x) { 'e' } else { 'f' }, STANDARD_NO_PAD.encode(bytes))
    }
}

/// Whether the page computes an op entry by entry.
fn by_entry(node: &NodeRecord) -> bool {
    matches!(node.op, "add" | "sub" | "scale" | "dropout" | "relu" | "gelu" | "silu")
}

/// Whether a reader computes what it adds to a gradient entry by entry.
fn hands_on(reader: &NodeRecord, node: &NodeRecord) -> bool {
    by_entry(reader) && reader.value.shape() == node.value.shape()
}

/// Whether an op only moves numbers.
fn moves(node: &NodeRecord) -> bool {
    matches!(node.op, "reshape" | "permute")
}

#[cfg(test)]
mod tests {
    use autograd::Tape;

    use super::*;

    #[test]
    fn what_fits_f32_is_kept_in_f32_and_nothing_else_loses_a_bit() {
        let tape = Tape::eval();
        let exact = tape.input(Tensor::new([2], vec![0.5, -3.25]));
        let record = Microscope::record(&tape, (exact + tape.input(Tensor::new([1], vec![0.1]))).sum());
        let stored = |detail: Detail, place: usize| detail.encode(&record, place, &record.nodes[place].value);
        assert_eq!(&stored(Detail::Double, 0)[..1], "e");
        let bytes = STANDARD_NO_PAD.decode(&stored(Detail::Double, 1)[1..]).unwrap();
        assert_eq!(bytes, 0.1f64.to_le_bytes());
        assert_eq!(&stored(Detail::Single, 1)[..1], "f");
        assert_eq!(&stored(Detail::Mixed, 1)[..1], "f", "no attention, no norm");
    }
}

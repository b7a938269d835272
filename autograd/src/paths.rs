//! Which part of a model each node of a tape belongs to, as its parameters tell.

use std::collections::HashMap;

use crate::param::Parameters;
use crate::tape::Tape;
use crate::{Float, NodeId, ParamId};

impl<T: Float> Tape<T> {
    /// The path of every node, in order of execution: a parameter's own, such as `encoder.layers.0.self_attn.q_proj.weight`;
    /// for an op the part of the model it belongs to, such as `encoder.layers.0.self_attn`.
    ///
    /// An op that reads parameters belongs to the module that has them. Any other op stands, in order of execution, between
    /// two such, and belongs to the smallest part that has both, or to the layer of the first of them where that is
    /// smaller: the last sum of a layer is the layer's, though the next op is of the next one.
    ///
    /// ```
    /// use autograd::{Float, Param, Tape, Tensor, parameters};
    /// struct Model<T: Float> { first: Param<T>, second: Param<T> }
    /// parameters!(Model { first, second });
    /// let square = || Param::new(Tensor::full([2, 2], 0.5f32));
    /// let layers = vec![Model { first: square(), second: square() }];
    /// let tape = Tape::eval();
    /// let x = tape.constant(Tensor::full([3, 2], 1.0));
    /// let y = x.linear(tape.param(&layers[0].first), None).relu().linear(tape.param(&layers[0].second), None);
    /// assert_eq!(tape.paths(&layers), ["", "0.first", "0", "0", "0.second", "0"]);
    /// ```
    ///
    /// # Panics
    /// Where the parameters on the tape are those of another model, such as a copy of this one.
    #[track_caller]
    pub fn paths(&self, model: &dyn Parameters<T>) -> Vec<String> {
        let mut paths: HashMap<ParamId, String> = HashMap::new();
        model.visit(&mut crate::Path::default(), &mut |path, param| {
            paths.insert(param.id(), path.to_owned());
        });
        let of_node: HashMap<NodeId, &String> = self
            .arena
            .borrow()
            .params
            .iter()
            .filter_map(|(id, &node)| Some((node, paths.get(id)?)))
            .collect();
        let (all, known) = (self.arena.borrow().params.len(), of_node.len());
        assert!(
            known > 0 || all == 0 || paths.is_empty(),
            "paths: none of the {all} parameters on this tape is of this model, which has {}",
            paths.len()
        );
        let nodes = self.nodes();
        // Where an op reads parameters itself, that says what it belongs to.
        let certain: Vec<Option<String>> = (nodes.iter())
            .map(|node| {
                let modules =
                    node.inputs.iter().filter_map(|input| of_node.get(input).map(|path| module(path)));
                modules.reduce(common).map(str::to_owned)
            })
            .collect();
        let mut following: Vec<Option<&str>> = Vec::with_capacity(nodes.len());
        let mut next = None;
        for path in certain.iter().rev() {
            next = path.as_deref().or(next);
            following.push(next);
        }
        following.reverse();
        let mut before: Option<&str> = None;
        (nodes.iter().zip(&certain).zip(following))
            .map(|((node, path), after)| {
                before = path.as_deref().or(before);
                match (of_node.get(&node.id), path, before, after) {
                    (Some(path), ..) => (*path).clone(),
                    (None, Some(path), ..) => path.clone(),
                    (None, None, Some(before), Some(after)) => {
                        let both = common(before, after);
                        let layer = layer(before);
                        if layer.len() > both.len() { layer } else { both }.to_owned()
                    }
                    _ => String::new(),
                }
            })
            .collect()
    }
}

/// `encoder.norm` of `encoder.norm.gamma`.
fn module(path: &str) -> &str {
    path.rsplit_once('.').map_or("", |(module, _)| module)
}

/// The segments with which both begin.
fn common<'a>(a: &'a str, b: &str) -> &'a str {
    let same = a.split('.').zip(b.split('.')).take_while(|(a, b)| a == b).map(|(a, _)| a.len() + 1);
    &a[..same.sum::<usize>().saturating_sub(1)]
}

/// The path up to its last number: `encoder.layers.0` of `encoder.layers.0.feed_forward.linear2`.
fn layer(path: &str) -> &str {
    let mut end = 0;
    let mut upto = 0;
    for segment in path.split('.') {
        upto += segment.len() + 1;
        if segment.bytes().all(|byte| byte.is_ascii_digit()) {
            end = upto - 1;
        }
    }
    &path[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[should_panic(expected = "paths: none of the 1 parameters on this tape is of this model, which has 1")]
    fn a_copy_of_a_model_has_nothing_on_its_tape() {
        let param = crate::Param::new(crate::Tensor::scalar(1.0f32));
        let tape = Tape::eval();
        tape.param(&param);
        tape.paths(&param.clone());
    }

    #[test]
    fn paths_are_cut_at_segments() {
        assert_eq!(common("encoder.layers.0", "encoder.layers.01.norm"), "encoder.layers");
        assert_eq!(common("encoder", "decoder"), "");
        assert_eq!(layer("encoder.layers.0.feed_forward.linear2"), "encoder.layers.0");
        assert_eq!(layer("encoder.norm"), "");
    }
}

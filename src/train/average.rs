//! The mean of several sets of weights.

use std::collections::BTreeMap;

use anyhow::{Result, bail};

use crate::checkpoint::{Array, Weights};

/// A mean that grows set by set, summed in `f64`.
#[derive(Clone, Debug, Default)]
pub struct Mean {
    count: usize,
    sums: BTreeMap<String, (Vec<usize>, Vec<f64>)>,
}

impl Mean {
    /// Takes another set into the mean.
    ///
    /// # Errors
    /// Where it has other paths or shapes than those before; the first difference is named.
    pub fn add(&mut self, weights: &Weights) -> Result<()> {
        if self.count == 0 {
            let zeros = |array: &Array| (array.shape.clone(), vec![0.0; array.data.len()]);
            self.sums = weights.iter().map(|(path, array)| (path.clone(), zeros(array))).collect();
        }
        if let Some(path) = weights.keys().find(|path| !self.sums.contains_key(*path)) {
            bail!("has weights for {path}, which those before have not");
        }
        for (path, (shape, _)) in &self.sums {
            match weights.get(path) {
                None => bail!("has no weights for {path}, which those before have"),
                Some(array) if array.shape != *shape => {
                    bail!("{path} is {:?} here and {shape:?} in those before", array.shape)
                }
                Some(_) => {}
            }
        }
        for (path, (_, sums)) in &mut self.sums {
            for (sum, &entry) in sums.iter_mut().zip(&weights[path].data) {
                *sum += f64::from(entry);
            }
        }
        self.count += 1;
        Ok(())
    }

    /// The mean of all sets; nothing of none.
    pub fn finish(self) -> Weights {
        let count = self.count as f64;
        let mean = |sums: Vec<f64>| sums.into_iter().map(|sum| (sum / count) as f32).collect();
        self.sums.into_iter().map(|(path, (shape, sums))| (path, Array { shape, data: mean(sums) })).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn weights(shape: &[usize], data: &[f32]) -> Weights {
        BTreeMap::from([("a".to_owned(), Array { shape: shape.to_vec(), data: data.to_vec() })])
    }

    #[test]
    fn the_mean_is_that_of_every_entry() {
        let mut mean = Mean::default();
        for data in [[1.0, -2.0], [2.0, 0.0], [6.0, 5.0]] {
            mean.add(&weights(&[2], &data)).unwrap();
        }
        assert_eq!(mean.finish(), weights(&[2], &[3.0, 1.0]));
    }

    #[test]
    fn sets_that_do_not_fit_are_refused() {
        let mut mean = Mean::default();
        mean.add(&weights(&[2], &[0.0; 2])).unwrap();
        let error = mean.add(&weights(&[3], &[0.0; 3])).unwrap_err().to_string();
        assert_eq!(error, "a is [3] here and [2] in those before");
        let error = mean.add(&BTreeMap::new()).unwrap_err().to_string();
        assert_eq!(error, "has no weights for a, which those before have");
    }
}

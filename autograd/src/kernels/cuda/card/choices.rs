//! Which algorithm was the fastest for which class of products, remembered from run to run.
//!
//! Two algorithms round differently, and timing may choose differently each time. With the choice in a file, a training
//! gives the same bits again, and starts sooner.

use std::collections::HashMap;
use std::io::Write;
use std::path::PathBuf;

use super::problem::Problem;

/// How cuBLAS writes an algorithm down. It means the same to the same version of cuBLAS alone.
pub(super) type Algorithm = [u64; 8];

/// Choices made before, here or in another run.
#[derive(Debug)]
pub(super) struct Choices {
    file: Option<PathBuf>,
    known: HashMap<String, Algorithm>,
}

impl Choices {
    /// Those in `file`, one a line, with new ones to be added there. Lines that make no sense are passed over.
    pub(super) fn load(file: Option<PathBuf>) -> Self {
        let text = file.as_deref().and_then(|file| std::fs::read_to_string(file).ok()).unwrap_or_default();
        let mut known = HashMap::new();
        for (class, algorithm) in text.lines().filter_map(parse) {
            // Where two runs timed the same product at the same time, the first one's word holds for all later ones.
            known.entry(class.to_owned()).or_insert(algorithm);
        }
        Self { file, known }
    }

    pub(super) fn get(&self, class: &Problem) -> Option<Algorithm> {
        self.known.get(&class.to_string()).copied()
    }

    /// Keeps a choice for this run.
    pub(super) fn keep(&mut self, class: &Problem, algorithm: Algorithm) {
        self.known.insert(class.to_string(), algorithm);
    }

    /// Keeps a choice for this run and later ones.
    pub(super) fn save(&mut self, class: &Problem, algorithm: Algorithm) {
        if let Some(file) = &self.file {
            let numbers = algorithm.map(|number| format!("{number:x}")).join(" ");
            // In one piece, so that lines of several runs do not mix. Without the file, the next run times again.
            let line = format!("{class} {numbers} .\n");
            let append = || {
                file.parent().map_or(Ok(()), std::fs::create_dir_all)?;
                std::fs::OpenOptions::new().create(true).append(true).open(file)?.write_all(line.as_bytes())
            };
            let _ = append();
        }
        self.keep(class, algorithm);
    }
}

/// A class, eight numbers, and a point that says that the line is whole.
fn parse(line: &str) -> Option<(&str, Algorithm)> {
    let (class, rest) = line.strip_suffix(" .")?.split_once(' ')?;
    let numbers: Option<Vec<u64>> = rest.split(' ').map(|word| u64::from_str_radix(word, 16).ok()).collect();
    Some((class, numbers?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::cuda::card::testing::Folder;
    use crate::kernels::cuda::driver::{Factor, Precision, Product};

    fn problem(m: usize) -> Problem {
        let factor = Factor { address: 256, stride: 8, transposed: false, step: 0 };
        let (a, b) = (factor, factor);
        Problem::new(&Product {
            m,
            k: 8,
            n: 8,
            batch: 1,
            a,
            b,
            c: 256,
            keep: false,
            precision: Precision::F32,
        })
    }

    #[test]
    fn choices_outlive_the_run() {
        let folder = Folder::new("choices");
        let file = folder.path().join("new/products.txt");
        let mut choices = Choices::load(Some(file.clone()));
        assert_eq!(choices.get(&problem(1)), None);
        choices.save(&problem(1), [1, 2, 3, 4, 5, 6, 7, u64::MAX]);
        choices.save(&problem(2), [0; 8]);
        choices.keep(&problem(4), [4; 8]);
        assert_eq!(choices.get(&problem(4)), Some([4; 8]));
        assert_eq!(choices.get(&problem(2)), Some([0; 8]));
        let mut other = Choices::load(None);
        other.save(&problem(1), [9; 8]);
        assert_eq!(other.get(&problem(1)), Some([9; 8]), "without a file, for this run");
        let again = Choices::load(Some(file.clone()));
        assert_eq!(again.get(&problem(1)), Some([1, 2, 3, 4, 5, 6, 7, u64::MAX]));
        assert_eq!([3, 4].map(|m| again.get(&problem(m))), [None, None]);

        // Another run that had timed meanwhile, a line cut off, a line of something else.
        let text = std::fs::read_to_string(&file).unwrap();
        let late = text.replace("1 2 3 4 5 6 7", "7 7 7 7 7 7 7");
        let cut = format!("{} 0 0 0", problem(3));
        std::fs::write(&file, format!("{text}{late}{cut}\nnonsense\n")).unwrap();
        let again = Choices::load(Some(file));
        assert_eq!(again.get(&problem(1)), Some([1, 2, 3, 4, 5, 6, 7, u64::MAX]));
        assert_eq!(again.get(&problem(3)), None);
    }
}

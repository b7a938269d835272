//! Parameters that a training leaves as they are.

use anyhow::{Result, anyhow, bail};
use autograd::Parameters;
use glob::Pattern;
use nn::Transformer;

/// How many near paths a message shows.
const SHOWN: usize = 3;

/// Freezes every parameter whose path one of `patterns` matches: `*` stands for anything, dots included, `?` for one letter,
/// `[ab]` for one of several.
///
/// # Errors
/// Where a pattern is none or matches nothing, with the paths nearest to it, and where nothing is left to train.
pub fn freeze(model: &mut Transformer, patterns: &[String]) -> Result<()> {
    let mut parsed = Vec::new();
    for pattern in patterns {
        let glob = Pattern::new(pattern)
            .map_err(|error| anyhow!("train.freeze: {pattern:?} is no pattern: {}", error.msg))?;
        let parameters = model.parameters();
        if !parameters.iter().any(|(path, _)| glob.matches(path)) {
            let mut paths: Vec<&str> = parameters.iter().map(|(path, _)| path.as_str()).collect();
            let distance = |path: &&str| strsim::jaro_winkler(pattern, path);
            paths.sort_by(|a, b| distance(b).total_cmp(&distance(a)));
            paths.truncate(SHOWN);
            bail!("train.freeze: no parameter is called {pattern:?}; the nearest are {}", paths.join(", "));
        }
        parsed.push(glob);
    }
    model.for_each_mut(|path, param| {
        if parsed.iter().any(|glob| glob.matches(path)) {
            param.freeze();
        }
    });
    if model.parameters().iter().all(|(_, param)| param.is_frozen()) {
        bail!("train.freeze leaves no parameter to train");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use nn::{Init, Preset};

    use super::*;

    fn frozen(patterns: &[&str]) -> Result<Vec<String>> {
        let mut model = Transformer::new(&Preset::Tiny.config(8, 8), &mut Init::seeded(1));
        freeze(&mut model, &patterns.iter().map(|&pattern| pattern.to_owned()).collect::<Vec<_>>())?;
        let parameters = model.parameters().into_iter().filter(|(_, param)| param.is_frozen());
        Ok(parameters.map(|(path, _)| path).collect())
    }

    #[test]
    fn patterns_choose_by_path() {
        let encoder = frozen(&["encoder.*"]).unwrap();
        assert!(encoder.len() > 20 && encoder.iter().all(|path| path.starts_with("encoder.")), "{encoder:?}");
        let two = frozen(&["*_embedding.weight", "decoder.layers.[01].*.q_proj.bias"]).unwrap();
        assert_eq!(two.len(), 5, "{two:?}");
        assert_eq!(frozen(&[]).unwrap(), [""; 0]);
    }

    #[test]
    fn patterns_without_sense_are_named() {
        let error = |patterns: &[&str]| frozen(patterns).unwrap_err().to_string();
        let misspelt = error(&["encoder.*", "decoder.norm.gama"]);
        assert!(misspelt.contains("no parameter is called \"decoder.norm.gama\""), "{misspelt}");
        assert!(misspelt.contains("the nearest are decoder.norm.gamma,"), "{misspelt}");
        assert!(error(&["encoder.["]).contains("\"encoder.[\" is no pattern"), "{}", error(&["encoder.["]));
        assert!(error(&["*"]).contains("leaves no parameter to train"));
    }
}

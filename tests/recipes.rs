//! Claim: the recipes can be trained with, and the one of the built-in corpus is what a training without text does.

use std::fs;
use std::path::Path;

use gradus::config::Config;

#[test]
fn every_recipe_is_a_configuration_without_paths() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("recipes");
    for recipe in fs::read_dir(folder).unwrap() {
        let path = recipe.unwrap().path();
        let config = Config::read(&path).unwrap();
        config.validate().unwrap();
        assert!(config.data.is_builtin(), "{}: text is named on the command line", path.display());
    }
}

#[test]
fn the_recipe_of_the_built_in_corpus_is_the_default() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("recipes/builtin.toml");
    assert_eq!(Config::read(&path).unwrap(), Config::builtin());
}

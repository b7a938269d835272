//! Claims: a model that was exported and imported translates the same, and what does not fit is named.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use gradus::checkpoint::Checkpoint;
use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView};

use super::{checkpoint, done, train};
use crate::program::{complaint, small_project};

fn translations(folder: &Path, model: &str) -> String {
    done(folder, &["translate", "--model", model, "--input", "a.txt"])
}

#[test]
fn an_exported_model_that_is_imported_translates_the_same() {
    for more in [&[][..], &["--separate-vocab", "--lowercase"]] {
        let project = small_project();
        let folder = project.path();
        train(folder, "run", &[&["--steps", "60", "--rate", "0.02", "--warmup", "20"], more].concat());
        done(folder, &["export", "--model", "run", "--out", "exported"]);
        let said = done(folder, &["import", "exported", "--out", "imported"]);
        assert!(said.contains("tensors are in imported"), "{said}");
        assert!(
            translations(folder, "run").lines().any(|line| line.len() > 5),
            "there is nothing to compare"
        );
        assert_eq!(translations(folder, "run"), translations(folder, "imported"));
        let [run, imported] = ["run", "imported"].map(|name| checkpoint(folder, name, "model.gradus"));
        assert_eq!(run, imported);
        // The same again gives the same files.
        done(folder, &["export", "--model", "imported/checkpoints/model.gradus", "--out", "again"]);
        let mut files = 0;
        for entry in fs::read_dir(folder.join("exported")).unwrap() {
            let name = entry.unwrap().file_name();
            let [first, second] =
                ["exported", "again"].map(|exported| fs::read(folder.join(exported).join(&name)).unwrap());
            assert!(first == second, "{name:?} is another file");
            files += 1;
        }
        assert_eq!(files, if more.is_empty() { 4 } else { 5 });

        let begun = complaint(folder, &["import", "exported", "--out", "imported"]);
        assert!(begun.contains("imported: holds a run already"), "{begun}");
        let resumed = complaint(folder, &["train", "--resume", "imported"]);
        assert!(resumed.contains("holds no training to go on with"), "{resumed}");
        done(folder, &["train", "--init-from", "imported", "--steps", "2", "--out", "further"]);
    }
}

/// Writes the tensors of `exported` with one change.
fn rewrite(folder: &Path, change: impl FnOnce(&mut HashMap<String, (Dtype, Vec<usize>, Vec<u8>)>)) {
    let bytes = fs::read(folder.join("whole.safetensors")).unwrap();
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    let owned = |view: TensorView<'_>| (view.dtype(), view.shape().to_vec(), view.data().to_vec());
    let mut all: HashMap<_, _> =
        tensors.tensors().into_iter().map(|(name, view)| (name, owned(view))).collect();
    change(&mut all);
    let views = all
        .iter()
        .map(|(name, (dtype, shape, data))| (name, TensorView::new(*dtype, shape.clone(), data).unwrap()));
    let written = safetensors::serialize(views, None).unwrap();
    fs::write(folder.join("exported/model.safetensors"), written).unwrap();
}

#[test]
fn what_does_not_fit_is_named() {
    let project = small_project();
    let folder = project.path();
    train(folder, "run", &["--steps", "2"]);
    done(folder, &["export", "--model", "run", "--out", "exported"]);
    fs::rename(folder.join("exported/model.safetensors"), folder.join("whole.safetensors")).unwrap();
    let import = || complaint(folder, &["import", "exported", "--out", "imported"]);
    assert!(import().contains("exported/model.safetensors: cannot read"));
    rewrite(folder, |_| ());
    done(folder, &["import", "exported", "--out", "good"]);

    rewrite(folder, |all| {
        let (_, shape, data) = all.get_mut("encoder.norm.gamma").unwrap();
        (*shape, *data) = (vec![8], data[..32].to_vec());
    });
    let shape = import();
    let parts =
        ["exported/model.safetensors: encoder.norm.gamma is [8] in the checkpoint and [16] in the model"];
    assert!(parts.iter().all(|part| shape.contains(part)), "{shape}");
    rewrite(folder, |all| drop(all.remove("decoder.norm.beta")));
    let missing = import();
    assert!(
        missing.contains("model.safetensors: the checkpoint has no weights for decoder.norm.beta"),
        "{missing}"
    );
    rewrite(folder, |all| drop(all.insert("lm_head.bias".into(), (Dtype::F32, vec![1], vec![0; 4]))));
    assert!(import().contains("weights for lm_head.bias, which this model does not have"));
    rewrite(folder, |all| {
        all.get_mut("encoder.norm.gamma").unwrap().2[..4].copy_from_slice(&f32::NAN.to_le_bytes());
    });
    assert!(import().contains("encoder.norm.gamma holds NaN"));
    fs::write(folder.join("exported/model.safetensors"), b"not at all").unwrap();
    assert!(import().contains("exported/model.safetensors: not safetensors"));
    rewrite(folder, |_| ());
    fs::remove_file(folder.join("exported/tokenizer.json")).unwrap();
    assert!(import().contains("exported/tokenizer.json: cannot read"));
    fs::write(folder.join("exported/config.toml"), "[model]\nwidth = 3\n").unwrap();
    assert!(import().contains("exported/config.toml: line 2: unknown field `width`"));
    assert!(!folder.join("imported").exists(), "a run that is none has been left");

    let nowhere = complaint(folder, &["export", "--model", "nowhere", "--out", "x"]);
    assert!(nowhere.contains("nowhere: no such folder"), "{nowhere}");
    let blocked = complaint(folder, &["export", "--model", "run", "--out", "a.txt/x"]);
    assert!(blocked.contains("a.txt/x: cannot make the folder"), "{blocked}");
    assert!(Checkpoint::load(&folder.join("good/checkpoints/model.gradus")).is_ok());
}

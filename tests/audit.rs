//! Claims: every Transformer passes the audit, one that was tampered with does not, and training begins with it.

use gradus::autograd::{AuditFailure, AuditReport, Tape, Var, audit};
use gradus::nn::{Activation, Init, Mask, NormPlacement, Positions, Tied, Transformer, TransformerConfig};

use crate::common::{Batch, random_pairs, tiny};
use crate::program::{run, small_project};

fn batch() -> Batch {
    Batch::new(&random_pairs(&[(4, 3), (2, 5), (6, 6)], 11, 1))
}

fn model(config: &TransformerConfig) -> Transformer<f64> {
    Transformer::new(config, &mut Init::seeded(1))
}

fn audit_with(
    model: &mut Transformer<f64>,
    loss: impl for<'t> Fn(&'t Tape<f64>, &Transformer<f64>) -> Var<'t, f64>,
) -> Result<AuditReport, AuditFailure> {
    let reasons = model.clone();
    audit(model, |path| reasons.zero_by_mathematics(path), loss)
}

fn audit_of(model: &mut Transformer<f64>) -> Result<AuditReport, AuditFailure> {
    let batch = batch();
    audit_with(model, |tape, model| batch.loss(model, tape, batch.mean_weight()))
}

#[test]
fn every_configuration_passes() {
    for norm in [NormPlacement::Pre, NormPlacement::Post] {
        for tied in [Tied::None, Tied::Target, Tied::All] {
            for positions in [Positions::Sinusoidal, Positions::Learned] {
                for activation in [Activation::Relu, Activation::Gelu, Activation::Silu] {
                    let config = TransformerConfig { norm, tied, positions, activation, ..tiny() };
                    let report = audit_of(&mut model(&config));
                    let report =
                        report.unwrap_or_else(|failure| panic!("{norm:?} {tied:?} {positions:?}: {failure}"));
                    // Two self-attentions on each side, two cross-attentions.
                    assert_eq!(report.zero.len(), 6, "{report}");
                    assert!(report.zero.iter().all(|(path, _)| path.ends_with("k_proj.bias")), "{report:?}");
                }
            }
        }
    }
}

#[test]
fn a_model_whose_memory_is_cut_off_is_refused() {
    let batch = batch();
    let failure = audit_with(&mut model(&tiny()), |tape, model| {
        let memory = model.encode(tape, &batch.source).detach().label("memory");
        let hidden = model.decode(tape, &batch.target_in, memory, &batch.source.lengths);
        model.logits(hidden).cross_entropy(&batch.target_out, 0.1, Some(0))
    });
    let said = failure.unwrap_err().to_string();
    assert!(said.contains("encoder.layers.0.self_attn.q_proj.weight gets no gradient"), "{said}");
    assert!(said.contains("detach") && said.contains("\"memory\"") && said.contains("audit.rs:"), "{said}");
}

#[test]
fn a_layer_that_is_left_out_is_refused() {
    let batch = batch();
    let failure = audit_with(&mut model(&tiny()), |tape, model| {
        let mut short = model.encode(tape, &batch.source);
        short = model.encoder.layers[0].forward(short, &Mask::keep_lengths(batch.source.lengths.clone()));
        let mut decoder = model.decoder.layers.iter().take(1);
        let x = model.target_embedding.forward(tape, &batch.target_in.ids);
        let mask = Mask::keep_lengths(batch.target_in.lengths.clone()).and_past();
        let memory_mask = Mask::keep_lengths(batch.source.lengths.clone());
        let hidden = decoder.next().unwrap().forward(x, short, &mask, &memory_mask);
        model.logits(hidden).cross_entropy(&batch.target_out, 0.1, Some(0))
    });
    let said = failure.unwrap_err().to_string();
    assert!(said.contains("decoder.layers.1.self_attn.q_proj.weight gets no gradient"), "{said}");
    assert!(said.contains("never put on the tape"), "{said}");
}

#[test]
fn weights_that_silence_a_layer_are_refused() {
    let mut model = model(&tiny());
    model.decoder.layers[1].feed_forward.linear2.weight.value_mut().make_mut().fill(0.0);
    let said = audit_of(&mut model).unwrap_err().to_string();
    assert!(said.contains("decoder.layers.1.feed_forward.linear1.weight is zero to rounding"), "{said}");
    assert!(said.contains("feed_forward.linear2.weight") && said.contains("nn/src/decoder.rs:"), "{said}");
}

#[test]
fn training_begins_with_an_audit_that_changes_nothing() {
    let project = small_project();
    let folder = project.path();
    let train = |name: &str, more: &[&str]| {
        let arguments = ["train", "--config", "small.toml", "--out", name, "--steps", "3"];
        let output = run(folder, &[&arguments, more].concat());
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success(), "{stderr}");
        (stderr, crate::program::weights(folder, name))
    };
    let (audited, with) = train("with", &[]);
    let line = audited.lines().find(|line| line.starts_with("audit: "));
    let line = line.unwrap_or_else(|| panic!("no audit: {audited}"));
    assert!(line.contains("parameters reached, 3 zero by mathematics (softmax"), "{line}");
    let (plain, without) = train("without", &["--no-audit"]);
    assert!(!plain.contains("audit"), "{plain}");
    assert!(with == without, "the audit has changed the training");
}

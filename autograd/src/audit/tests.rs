use crate::{Backward, Float, Ids, Op, Param, Parameters, Tape, Tensor, Var, audit, rng::Stream};

/// Three layers, the middle one of which can be made to fail.
#[derive(Clone)]
struct Model<T: Float> {
    first: Param<T>,
    middle: Param<T>,
    last: Param<T>,
    shift: Param<T>,
}

crate::parameters!(Model { first, middle, last, shift });

fn model() -> Model<f64> {
    let mut stream = Stream::new(5);
    let mut matrix = |shape: [usize; 2]| Param::new(Tensor::normal(shape, 0.5, &mut stream));
    let (first, middle, last) = (matrix([6, 4]), matrix([6, 6]), matrix([3, 6]));
    Model { first, middle, last, shift: Param::new(Tensor::zeros([1])) }
}

/// The model's loss, with `middle` in the place of the middle layer. All scores are shifted by one number, which softmax
/// does not see.
fn loss<'t>(
    tape: &'t Tape<f64>,
    model: &Model<f64>,
    middle: impl Fn(Var<'t, f64>, Var<'t, f64>) -> Var<'t, f64>,
) -> Var<'t, f64> {
    let x = tape.constant(Tensor::normal([5, 4], 1.0, &mut Stream::new(6)));
    let hidden = x.linear(tape.param(&model.first), None).gelu().dropout(0.2);
    let hidden = middle(hidden, tape.param(&model.middle));
    let scores = hidden.linear(tape.param(&model.last), None) + tape.param(&model.shift);
    scores.cross_entropy(&Ids::new([5], [0, 2, 1, 1, 0]), 0.1, None)
}

fn shift_is_zero(path: &str) -> Option<&'static str> {
    (path == "shift").then_some("softmax does not see a shift")
}

/// What the audit says of a model with this middle layer.
fn complaint(middle: impl for<'t> Fn(Var<'t, f64>, Var<'t, f64>) -> Var<'t, f64>) -> String {
    let result = audit(&mut model(), shift_is_zero, |tape, model| loss(tape, model, &middle));
    result.expect_err("this model is wrong").to_string()
}

fn assert_names(complaint: &str, names: &[&str]) {
    for name in names {
        assert!(complaint.contains(name), "{name:?} is not in: {complaint}");
    }
    assert_eq!(complaint.lines().count(), 1, "{complaint}");
}

#[test]
fn a_right_model_passes_and_is_left_as_it_was() {
    let mut model = model();
    let before: Vec<Tensor<f64>> = model.parameters().iter().map(|(_, p)| p.value().clone()).collect();
    let report =
        audit(&mut model, shift_is_zero, |tape, model| loss(tape, model, |x, w| x.linear(w, None).relu()));
    let report = report.unwrap();
    assert_eq!(report.parameters, 4);
    assert_eq!(report.zero, [("shift".to_owned(), "softmax does not see a shift")]);
    assert!(report.worst_difference < 1e-6, "{report}");
    assert!(report.to_string().contains("4 parameters reached, 1 zero by mathematics (softmax does"));
    for ((path, param), before) in model.parameters().into_iter().zip(before) {
        assert!(*param.value() == before, "{path} was changed");
    }
}

#[test]
fn a_detached_path_is_named_with_the_op_that_ends_it() {
    let complaint = complaint(|x, w| x.linear(w, None).relu().detach().label("frozen"));
    assert_names(
        &complaint,
        &["first gets no gradient", "detach [5, 6] → [5, 6] \"frozen\"", "audit/tests.rs:"],
    );
    assert_names(&complaint, &["neither does 1 other parameter"]);
}

#[test]
fn a_value_put_back_as_a_constant_is_named_where_its_path_ends() {
    let complaint = complaint(|x, w| x.tape().constant(x.linear(w, None).relu().value()));
    assert_names(&complaint, &["first gets no gradient", "relu", "which nothing reads", "audit/tests.rs:"]);
}

#[test]
fn a_layer_that_is_never_used_is_named() {
    struct Idle<T: Float> {
        used: Model<T>,
        idle: Param<T>,
    }
    crate::parameters!(Idle { used, idle });
    let mut model = Idle { used: model(), idle: Param::new(Tensor::full([2], 1.0)) };
    let failure = audit(
        &mut model,
        |path| shift_is_zero(path.strip_prefix("used.")?),
        |tape, model| loss(tape, &model.used, |x, w| x.linear(w, None)),
    );
    assert_names(&failure.unwrap_err().to_string(), &["idle gets no gradient: it was never put on the tape"]);
}

/// `y = 2x`, with a rule of one's choice.
#[derive(Debug)]
struct Double {
    slope: f64,
}

impl Op<f64, 1> for Double {
    type Saved = ();
    const NAME: &'static str = "double";
    const RULE: &'static str = "dx += slope·dy";
    fn forward(&self, [x]: [&Tensor<f64>; 1]) -> (Tensor<f64>, ()) {
        (x.map(|x| 2.0 * x), ())
    }
    fn backward(&self, _: &(), cx: Backward<'_, f64, 1>) {
        cx.grads[0].add(&cx.dy.map(|dy| self.slope * dy));
    }
}

#[test]
fn a_wrong_rule_is_named_with_the_parameter_before_it() {
    for slope in [2.01, -2.0, 1.0] {
        let complaint = complaint(move |x, w| x.tape().apply(Double { slope }, [x.linear(w, None)]));
        assert_names(
            &complaint,
            &["the gradient of middle is wrong", "the rule of double #", "audit/tests.rs:"],
        );
    }
}

#[test]
fn a_path_that_is_cut_beside_another_is_a_wrong_gradient() {
    // Of two ways from the middle layer to the loss one is detached: it is reached, by half of its gradient.
    let complaint = complaint(|x, w| {
        let y = x.linear(w, None);
        y.gelu() + y.detach()
    });
    assert_names(&complaint, &["the gradient of middle is wrong", "the rule of detach #"]);
}

#[test]
fn a_rule_that_gives_nan_is_named() {
    let complaint = complaint(|x, w| x.tape().apply(Double { slope: f64::NAN }, [x.linear(w, None)]));
    assert_names(
        &complaint,
        &["the gradient of first is not finite", "the backward pass of #", "double [5, 6] → [5, 6]", "NaN"],
    );
}

#[test]
fn a_loss_that_is_not_finite_is_traced_to_its_node() {
    let complaint = complaint(|x, w| x.linear(w, None).scale(f64::INFINITY).label("huge"));
    assert_names(&complaint, &["the loss is not finite", "the forward pass of #", "scale", "\"huge\""]);
}

#[test]
fn a_gradient_of_exactly_zero_is_refused_unless_it_is_expected() {
    let mut model = model();
    let failure = audit(&mut model, |_| None, |tape, model| loss(tape, model, |x, w| x.linear(w, None)));
    let failure = failure.unwrap_err().to_string();
    assert_names(&failure, &["the gradient of shift is zero to rounding", "add [5, 3] · [1] → [5, 3]"]);
    let dead = complaint(|x, w| x + x.linear(w, None) * x.tape().constant(Tensor::zeros([1])));
    assert_names(&dead, &["the gradient of middle is zero to rounding, 0e0", "its path ends at #", "mul"]);
}

#[test]
fn a_reason_excuses_no_wrong_gradient() {
    // A slope of zero makes a gradient of zero, which is not what the loss does.
    let wrong = audit(
        &mut model(),
        |path| (path != "last").then_some("so they say"),
        |tape, model| loss(tape, model, |x, w| x.tape().apply(Double { slope: 0.0 }, [x.linear(w, None)])),
    );
    assert_names(
        &wrong.unwrap_err().to_string(),
        &["the gradient of middle is wrong", "the rule of double #"],
    );
}

#[test]
fn a_kink_beside_the_point_refuses_no_right_model() {
    // The first attempt moves the parameter by 1e-9, across the kink of ReLU at 0, and the next ones by less.
    let mut near = Param::new(Tensor::new([2], vec![3e-10, -0.5]));
    let report = audit(&mut near, |_| None, |tape, near| tape.param(near).relu().sum());
    assert!(report.unwrap().worst_difference < 1e-5);
}

#[test]
fn what_is_frozen_is_held_still_and_not_looked_at() {
    let mut model = model();
    model.first.freeze();
    let report =
        audit(&mut model.clone(), shift_is_zero, |tape, model| loss(tape, model, |x, w| x.linear(w, None)));
    let report = report.unwrap();
    assert_eq!((report.parameters, report.frozen), (3, 1));
    assert!(report.to_string().contains("3 parameters reached, 1 frozen, 1 zero"), "{report}");
    // It excuses nobody else.
    let failure =
        audit(&mut model, shift_is_zero, |tape, model| loss(tape, model, |x, w| x + w.sum().detach()));
    assert_names(&failure.unwrap_err().to_string(), &["middle gets no gradient"]);

    let tape = Tape::eval();
    let gradients = loss(&tape, &model, |x, w| x.linear(w, None)).backward();
    assert!(gradients.get(&model.first).is_none() && gradients.get(&model.middle).is_some());
}

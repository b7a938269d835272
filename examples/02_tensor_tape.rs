//! Lesson 2: the same tape on tensors.
//!
//! A node now holds many numbers, and the slope of an op would be a matrix, the Jacobian. No rule writes that matrix
//! down: it says what the product with it is.
//!
//! `cargo run --example 02_tensor_tape`

use std::collections::BTreeMap;

use gradus::autograd::{NodeId, Tape, Tensor};

fn main() {
    entry_by_entry();
    a_product_is_a_rule();
    what_was_stretched_is_summed();
}

fn entry_by_entry() {
    println!("1. Lesson 1's function, for two pairs of numbers at once\n");
    let tape = Tape::eval();
    let u = tape.input(Tensor::new([2], vec![2.0f64, -1.0])).label("u");
    let v = tape.input(Tensor::new([2], vec![5.0, 3.0])).label("v");
    let p = (u * v).label("p = u∘v");
    let q = (p + u).label("q = p + u");
    let r = (v - u).label("r = v − u");
    let loss = (q * r).sum().label("L = Σ q∘r");
    println!(
        "   Forward, in the order of execution. In a rule, a and b are the op's inputs and dy is the gradient of"
    );
    println!("   its output; ∘ multiplies entry by entry.\n");
    print!("{}", indent(&tape.table(&())));

    println!(
        "\n   Backward. It begins with dL = 1 and reads the tape from its end. What a node is handed twice adds up.\n"
    );
    let name = |node: NodeId| tape.nodes()[node.index()].label.clone().unwrap_or_else(|| "q∘r".to_owned());
    let name = |node: NodeId| name(node).chars().take_while(|c| *c != ' ').collect::<String>();
    let mut so_far: BTreeMap<NodeId, Vec<f64>> = BTreeMap::new();
    for step in loss.steps() {
        println!(
            "   {:<12} d{:<4}= {:<12} {}",
            step.op,
            name(step.node),
            list(step.dy.as_slice()),
            step.rule
        );
        for (input, contribution) in step.contributions {
            let sum = so_far.entry(input).or_insert_with(|| vec![0.0; contribution.len()]);
            let before = sum.clone();
            sum.iter_mut().zip(contribution.as_slice()).for_each(|(sum, x)| *sum += x);
            let terms = if before == [0.0; 2] {
                String::new()
            } else {
                format!("{} + {} = ", list(&before), list(contribution.as_slice()))
            };
            println!("   {:16} d{:<4}= {terms}{}", "", name(input), list(sum));
        }
    }
    let gradients = loss.backward();
    let [du, dv] = [u, v].map(|x| gradients.wrt(x).expect("both lead to the loss").as_slice().to_vec());
    println!("\n   The first entries, 6 and 18, are lesson 1's. Each pair went its own way until the sum.\n");
    assert_eq!([du[0], dv[0]], [6.0, 18.0]);
    for (i, (u, v)) in [(2.0, 5.0), (-1.0, 3.0)].into_iter().enumerate() {
        assert_eq!(du[i], (v + 1.0) * (v - u) - (u * v + u));
        assert_eq!(dv[i], u * (v - u) + (u * v + u));
    }
    assert_eq!([&so_far[&u.id()], &so_far[&v.id()]], [&du, &dv]);
}

fn a_product_is_a_rule() {
    println!("2. y = W·x: the Jacobian is W itself, and the rule is a product with its transpose\n");
    let weight = Tensor::new([3, 2], vec![1.0f64, 2.0, 3.0, 4.0, 5.0, 6.0]);
    let x = Tensor::new([2, 1], vec![10.0, 20.0]);
    let dy = Tensor::new([3, 1], vec![1.0, -1.0, 2.0]);
    // Column by column: what y does when one entry of x moves by one.
    let y = |x: Tensor<f64>| {
        let tape = Tape::infer();
        tape.constant(weight.clone()).matmul(tape.constant(x)).value()
    };
    let at = y(x.clone());
    let by_columns: Vec<f64> = (0..2)
        .map(|j| {
            let mut moved = x.clone();
            moved.make_mut()[j] += 1.0;
            let column = y(moved);
            (0..3).map(|i| (column.as_slice()[i] - at.as_slice()[i]) * dy.as_slice()[i]).sum()
        })
        .collect();

    let tape = Tape::eval();
    let (w, x) = (tape.input(weight.clone()), tape.input(x));
    let gradients = w.matmul(x).backward_with(dy);
    let [dx, dw] = [x, w].map(|x| gradients.wrt(x).expect("both lead to y").as_slice().to_vec());
    println!(
        "   dy = [1, −1, 2].  dx = Wᵀ·dy = {}; moving each x by one says {}.",
        list(&dx),
        list(&by_columns)
    );
    println!("   dW = dy·xᵀ = {}: 6 numbers, from a Jacobian that would have 3 × 6.\n", list(&dw));
    assert_eq!(dx, by_columns);
    assert_eq!(dw, [10.0, 20.0, -10.0, -20.0, 20.0, 40.0]);
}

fn what_was_stretched_is_summed() {
    println!("3. A bias is added to every row; so every row has a say in its gradient\n");
    let tape = Tape::eval();
    let rows = tape.input(Tensor::zeros([3, 2]));
    let bias = tape.input(Tensor::new([2], vec![1.0f64, 2.0]));
    let dy = Tensor::new([3, 2], vec![1.0, 10.0, 2.0, 20.0, 3.0, 30.0]);
    let gradients = (rows + bias).backward_with(dy);
    let db = gradients.wrt(bias).expect("the bias leads to the sum").as_slice();
    println!(
        "   dy = [1, 10], [2, 20], [3, 30] gives db = {}: using a value often is one more sum.",
        list(db)
    );
    assert_eq!(db, [6.0, 60.0]);
}

fn indent(table: &str) -> String {
    table.lines().map(|line| format!("   {line}\n")).collect()
}

fn list(numbers: &[f64]) -> String {
    let numbers: Vec<String> = numbers.iter().map(ToString::to_string).collect();
    format!("[{}]", numbers.join(", "))
}

// What the page says in Chinese.

const ZH = {
  title: "梯度显微镜", skip: "跳到主视图", tour_start: "导览", strip_title: "计算记录（tape）",
  tab_tape: "计算记录与节点", tab_lab: "注意力实验台", tab_words: "预测", tab_norm: "LayerNorm", tab_bugs: "植入的错误", tab_flow: "梯度流向", tab_film: "训练影片",
  colon: "：", stop: "。", colours: "颜色刻度", scale_linear: "线性", scale_root: "平方根",
  facts_model: "模型：{enc} + {dec} 层，D {d}，{heads} 个注意力头，F {ffn}，{norm}-norm，{n} 个参数。", facts_loss: "损失 {x} nat。", facts_loss_token: "每词元损失 {x} nat（交叉熵）。", facts_loss_smoothed: "每词元损失 {x} nat，含标签平滑 {e}。",
  facts_precision: "以 {computed} 计算；{stored}。", stored_f64: "本页数字为 f64", stored_f32: "本页数字为 f32（7 位有效数字）", stored_mixed: "注意力与 LayerNorm 的数字为 f64，其余为 f32（7 位有效数字）；每张图都注明类型",
  facts_checked: "可核对的 {n} 个梯度中，{right} 个与有限差分一致。", facts_checked_bug: "植入错误后，可核对的 {n} 个梯度中有 {wrong} 个与有限差分不符。", facts_zero: "另有 {n} 个梯度在数学上恒为零，单独计数。", facts_blind: "{n} 个梯度小到与舍入误差无法区分，不计入。", facts_unknown: "{n} 个梯度在植入错误后无法重新核对。", facts_dropout: "这是一次训练前向：dropout 生效。", facts_weights: "为了控制页面大小，省略了权重矩阵。",
  strip_label: "计算记录：{n} 个节点。向上的条是值的范数，向下的条是已经算完的梯度的范数。",
  play: "播放", play_back: "倒放", to_start: "到第一个节点", to_end: "到反向传播结束", step_back: "后退一步", step_next: "前进一步", slider: "时刻：先前向，后反向", to_backward: "◂ 到反向传播",
  phase_forward: "前向 {k}/{n}：", phase_backward: "反向 {k}/{n}：", value: "值", gradient: "梯度", gradient_waits: "梯度还没有加完",
  all_nodes: "全部 {n} 个节点的表格", path: "路径", shape: "形状", bytes: "字节", checked: "核对", source_line: "源代码行",
  wrong_rule: "✗ 植入的错误：错在这里", poisoned_badge: "到达这里的梯度是错的", verdict_ok: "已用有限差分核对", verdict_bad: "与有限差分不符", verdict_zero: "数学上恒为零，无可核对", verdict_blind: "太小，无法核对", verdict_unknown: "植入错误后未重新核对", not_checked: "未核对",
  forward: "前向", backward: "反向", operands: "输入，以及本操作加给每个输入的梯度", result: "输出，以及到达的梯度", adds_to: "加到 {id} 的梯度上", needs_none: "这里不需要梯度。", no_gradient: "没有梯度到达这里。", left_out: "为了控制页面大小而省略。", not_replayed: "植入这个错误后，本页缺少所需的权重，算不出这些数字。", replayed_type: "f64，含错误", computed_type: "本页算出",
  output: "值", incoming: "上游梯度", read_by: "读取它的节点：", head: "注意力头", largest: "最大值", masked: "被遮蔽", heat_keys: "方向键移动，回车显示该格的算式。",
  dock_title: "算式", dock_close: "关闭", legend: "如何读图", legend_scale: "蓝色为负，白色为零，橙色为正；每张图下方色条两端的数字是刻度的两端", legend_mask: "被掩码遮蔽", legend_outline: "所选格子，以及算出它所用的格子", legend_down: "梯度 ▾", legend_poison: "错误梯度波及之处", encoder_side: "编码器", decoder_side: "解码器", other_side: "其他",
  cell_hint: "选择任意一格（点击，或用方向键和回车）：这里会列出它的完整算式和实际数字，所用的格子在图上用黄框标出。", no_arithmetic: "页面里没有算出这一格所需的数字。", computed_here: "本页算出：dyᵀ·x", recomputed: "由以上数字在本页算出", tape_says: "计算记录中的数字", bug_says: "植入错误后的数字", map_says: "图上的数字", page_says: "图上的数字", not_on_page: "页面省略了计算记录中的这个数字，由本页自行算出，因此无可核对。", difference: "相差 {x}", bug_difference: "与正确的规则不符：相差 {x}。",
  made_elsewhere: "本视图只显示这个数字。", show_there: "它的算式在 {node} 的卡片上", only_moved: "这里没有计算，因此无可核对。", made_here: "这张图由本页算出。",
  note_moved: "这个操作只搬动数字；这一格就是另一处的同一个数字。", note_embedding: "表中第 {id} 行（{word}）的拷贝。", note_rows: "词元 {word} 在句中出现 {n} 次；各处的梯度相加。", note_dropped: "被丢弃：m 为 0。", note_masked: "被掩码遮蔽：严格为零。", note_drawn: "本次前向抽取一次，以概率 p = {p} 取零。", note_parameter: "参数：不由任何操作算出", note_data: "数据：不由任何操作算出", note_root: "反向传播从这里开始：dL/dL = 1", note_one_reader: "这个梯度只由一个读者交来，和只有一项。", note_losses: "每个位置的损失，含标签平滑",
  dropped: "被丢弃", kept: "保留", padding_ignored: "填充：这一行不计入", step_largest: "最大的分数", step_total: "指数之和", step_numerator: "e^(S − max)", step_of_above: "以上各行之和", step_wanted: "目标", step_sum: "三项之和", kept_word: "保留", where_word: "当",
  derived: "算式中还用到：由本页算出", one_reader: "梯度来自一个读者", one_reader_about: "这里没有求和；读取它的只有：", zero_map: "数学上恒为零：剩下的是舍入误差；颜色按相互抵消的各项的大小取刻度",
  fan_out: "扇出：梯度是一个和", fan_out_about: "这个值被读取 {n} 次。反向传播经过每个读者时，读者各加上自己的一份；全部加完，梯度才完整，才能继续往下传。", fan_out_sum: "各份相加等于 {d}：最大相差 {x}。", reader: "读者", way: "路径", sum_so_far: "‖当前的和‖", added: "已加", waits: "未到", show_sum: "显示前几项之和", running_sum: "前 {k}/{n} 项之和",
  way_query: "查询路径", way_key: "键路径", way_value: "值路径", way_residual: "残差，绕过子层", way_branch: "经过归一化的支路", way_words: "词向量",
  verdict: "核对结果", not_checked_about: "没有梯度流到这里，无须核对。", verdict_about: "f64 中心差分。只核对了列出的格子，对勾只代表它们。误差相对于该梯度的最大元素；噪声是单由舍入造成的误差。噪声与梯度一样大时，什么也没有核对到，不给对勾。", to_the_loss: "一直算到损失：移动这一格，重算其后的一切", own_rule: "只看本操作的规则：它加给各输入的量", cell: "格", analytic: "计算记录", numeric: "有限差分", error: "误差", noise: "噪声", curve: "误差与步长", curve_about: "右边步长太大，曲率起作用；左边步长太小，舍入起作用：形成一个 V。最好的步长在中间。（损失对该格为线性时没有右臂。）", noise_floor: "所用步长的噪声", step_size: "步长", agrees: "一致", disagrees: "不一致",
  zero_key_bias: "数学上恒为零，因此不计入已核对的梯度：键的偏置 b 给一行的每个分数都加上同一个 q·b，而 softmax 看不见加到整行上的数。这里的数字只是舍入误差，旁边的差分也是。", zero_other: "数学上恒为零，因此不计入已核对的梯度。这里的数字只是舍入误差。", blind_about: "这个梯度比差分的舍入误差还小，下面的数字说明不了什么：不给对勾。",
  lab_about: "一个注意力的一个注意力头，按列排列：上面是值，正下方是它的梯度。值从左往右读，梯度从右往左读。点击格子看算式。斜线格被遮蔽：在 A 和 dS 中严格为零，无论 dA 在那里是多少，都到此为止。", no_attention: "这份计算记录里没有注意力。", attention_of: "注意力", scale: "缩放",
  scale_warning: "S、A 和 dS 在本页用另一种缩放重新算出，dA 保持不变。它们不是计算记录中的数字；Q、K、V、O 及其梯度仍是。", scale_fixed: "复原后才能换用其他缩放。", scale_not_tape: "dP 属于另一种缩放。", recomputed_here: "本页重算", mask_backward: "掩码是抽取的，不是学来的：它没有梯度。", dropout_mask: "dropout 掩码：1 保留，0 丢弃，p = {p}",
  two_terms: "dS 的两项", two_terms_about: "softmax 让一行的权重互相竞争：一个分数升高，其余权重都降低。第一项是每个权重自己的要求；第二项减去以 A 加权的全行平均。剩下的和为零。", term_first: "每个权重自己的要求", term_second: "它分担的全行加权平均", rows_sum_zero: "dS 每行之和为零：最大的行和为 {x}，而元素最大为 {y}。", terms_give_ds: "A∘dA − A∘rowsum(A∘dA) 等于 dS：最大相差 {x}。", rows_sum_one: "A 每行之和为一。", scale_agrees: "dP = {k}·dS：最大相差 {x}。", masked_zero: "{n} 个被遮蔽的格子在 A 和 dS 中都严格为零。", dropped_zero: "{n} 个被丢弃的权重严格没有梯度：m = 0 处 dA = 0。", kept_scaled: "m = 1 处 dA = dÃ/(1 − p)：最大相差 {x}。",
  saturation: "缩放的用处：饱和", saturation_about: "向量越长，点积越大。不缩放时 softmax 只认一个键（熵低），而过于确定的 softmax 几乎不传梯度。缩放过小则所有键都差不多。熵为相对值：1 表示均匀。（A 的梯度保持不变。）", entropy: "A 的熵", largest_weight: "最大权重",
  norm_about: "LayerNorm 去掉每行的均值和大小，所以输入的梯度不能指向这两个方向：沿这两个方向改变该行，输出不变。dx 由三项组成；第二、三项去掉这两个方向。", no_norm: "这份计算记录里没有 LayerNorm。", layer_norm_of: "LayerNorm", three_terms: "dx 的三项", term_gain: "把 μ 和 σ 当作常数", term_mean: "去掉均值", term_hat: "去掉 x̂ 方向", sum_of_three: "三项之和，取自计算记录", norm_agrees: "按正确的规则在本页算出的三项之和等于计算记录中的 dx；最大相差 {x}。", invariants: "不变量", norm_invariants_about: "由以上数字逐行算出。选一行看它的投影。", at_most: "最大相差 {x}。", epsilon_left: "若没有 ε，它恒为零；ε 留下的部分见最后一列。", by_epsilon: "来自 ε", row: "行", taken_away: "去掉了 {x}", projections: "去掉的两个投影", projections_about: "“{row}”这一行的梯度在每一步之前和之后的长度。", without_mean: "去掉均值", without_hat: "再去掉 x̂：dx",
  bugs_about: "每个错误都是人们真会写出来的。把它植入操作，整个过程重跑一遍：每个视图显示的都是带错误的那次计算。反向传播中最先遇到的出错卡片变红，错误梯度波及之处画斜纹，被它破坏的不变量显示 ✗。问题是：哪些检查能发现它？", plant_bug: "植入：", no_bug: "无错误", bug_maps: "所有视图都显示带此错误的计算。", planted: "已植入", culprit_is: "出错的卡片是", heal: "复原", right_rule: "正确的规则：", kind_rule: "规则给某个输入加了错误的量。前向和损失都是对的，也没有任何报错。", kind_sum: "每条规则都对，但反向传播丢了和中的一项。", kind_value: "前向与反向一起错。梯度是错误函数的正确梯度，有限差分与它一致：任何梯度检查都看不出来。严格零的证明，以及与展开版本的对照可以。", farthest_cell: "偏差最大的一格：{cell}", with_bug: "有错误时", without_bug: "无错误时", loss_with_bug: "有错误时的损失", loss_without_bug: "无错误时的损失", right_one: "正确", wrong_one: "错误", difference_of: "错误 − 正确", poisoned: "错误的梯度由此继续流动：计算记录的 {all} 个梯度中有 {n} 个是错的。", broken: "被它破坏的不变量", broken_about: "每一条都在它所在之处显示 ✗：", broken_none: "本页的不变量都没有察觉它；需要下面的检查。", broken_unknown: "本页缺少算出其余视图所需的权重。", who_sees: "谁能发现", who_sees_about: "出自本项目的变异评分，由测试保证属实：我们的检查，以及四种常见检查。", finds_it: "能发现", misses_it: "运行了该操作，却没有发现", idle: "没有运行该操作", idle_about: "这些检查没有运行任何带此错误的操作，因此说明不了什么。", all_bugs: "适用于这份计算记录的全部 {n} 个错误", bug: "错误", what_is_wrong: "错在哪里", plant: "植入", without_this_bug: "这里的数字来自没有植入错误的计算。",
  axis_log: "对数刻度", by_layer: "各层梯度范数", by_layer_about: "一层全部参数的梯度的范数。坐标轴为对数刻度。", residual: "残差与支路", residual_about: "在每个和 x + f(x) 处：绕过子层、原样传回的梯度，与经子层传回的梯度。深层模型能学会，靠的是绕行的那条路。", sum_of: "和", around: "绕行", through: "经过子层", share_around: "绕行占比",
  pre_post: "pre-norm 与 post-norm", pre_post_about: "同样大小、未经训练的模型，同一个句子：与本模型同深，以及八层深。坐标轴为对数刻度，各图各有其轴。", pre_post_said: "{n} 层，末层与首层之比：pre-norm 编码器 {pe}，解码器 {pd}；post-norm 编码器 {oe}，解码器 {od}。（1 表示各层梯度相同；大于 1 表示前面的层得到的较少。）", pre_norm: "pre-norm", post_norm: "post-norm", layers_n: "{n} 层",
  word_to_word: "从词元到词元", word_to_word_about: "每个目标词元单独的损失（行），在每个读入的词元的向量处（列）的梯度范数。选择一行。", to_source: "到源词元", to_target: "到已读的目标词元", loss_of_word: "哪个词元的损失",
  exact_zeros: "严格为零之处", exact_zeros_about: "掩码正确，是指被遮蔽者完全没有梯度：不是很小，而是没有。0 表示比特意义上的零。", future_zero: "因果性：{n} 个流向后面词元的梯度严格为零。", padding_zero: "填充：{n} 个与填充有关的梯度严格为零。", past_not_zero: "{n} 个流向可见词元的梯度不为零。", but_not: "其中 {n} 个不为零。",
  film_about: "同一句子在训练中的 {n} 个时刻：解码器最后一个对源句注意力的 A 与 dA，不含 dropout。每张图的颜色按自身最大值取刻度。", no_film: "本页没有影片。gradus microscope --builtin 会在训练时拍摄；gradus train --film 可拍摄你自己的训练。", film_slider: "训练的时刻", film_step: "第 {k} 步，损失 {loss}", film_loss: "该句的损失", film_axis: "训练步数", film_loss_axis: "损失，每词元 nat", film_dot: "影片的一帧", film_dot_now: "当前帧",
  words_about: "模型在目标句每个位置给出的预测，取自本次计算的 logits：正确的词元及其概率，以及概率最大的三个词元。", words_said: "共 {n} 个位置：正确的词元在 {first} 处排第一，在 {sure} 处 p > 0.9。不含标签平滑的交叉熵：每词元 {x} nat。", reads: "刚读入", should_say: "应输出", p_right: "p（正确）", words_node: "由 logits 算出，节点", no_words: "这份计算记录不以交叉熵结束，因此没有预测。",
  quiz: "小测验", quiz_about: "dS 的一格被藏起来了。请由上面的 A 和 dA 算出它（误差不超过百分之一）。dS 每行之和为零，可以借此取巧。", quiz_start: "藏起一格", quiz_question: "dS 在 {cell}（即 {name}）处是多少？", quiz_check: "检查", quiz_hint: "提示", quiz_another: "换一个", quiz_end: "结束", quiz_number: "请输入数字，如 −0.0123、1.2e-4 或 1.2·10⁻⁴。", quiz_right: "正确。", quiz_wrong: "还不对。要提示吗？", quiz_forgot: "这是 A·dA：还没有减去行和，这正是最常见的错误。", quiz_sign: "大小对了，符号不对。", hint_rule: "规则：", hint_sum: "最后一行之和为 {x}。", hint_answer: "答案是 {x}。",
  tour_step: "{k} / {n}", tour_back: "上一步", tour_next: "下一步", tour_end: "结束", tour_stop: "退出导览", tour_dropped: "有 dropout 时，dA = m∘dÃ/(1−p)：被丢弃的权重严格得不到梯度。", footer: "由 gradus microscope {version} 生成。本文件不需要网络。", keys: "按键：← → 单步，Home End，B 反向传播，P 播放，1–7 视图，[ ] 换注意力头，L 语言，T 导览，Esc 关闭。",
};

ABOUT.zh = {
  add: "和把同一个梯度交给两边；若一边曾沿行广播，它的梯度是各行之和。", scale: "固定的系数同样乘到梯度上。", embedding: "从表中取行；梯度加回到所取的行。", dropout: "m 在保留处为 1，丢弃处为 0。丢弃的得不到梯度；保留的在两个方向上同样缩放。",
  linear: "每个输入经由它走过的权重得到梯度；每个权重得到“输入 × 上游梯度”的乘积，对各位置求和。", matmul: "每个因子的梯度是上游梯度乘以另一个因子（转置到合适的形状）。", masked_softmax: "一行的权重互相竞争，所以从每个权重的要求中减去全行的加权平均。被遮蔽的格子给出和得到的都严格为零。", softmax: "一行的权重互相竞争，所以从每个权重的要求中减去全行的加权平均。",
  layer_norm: "一行的均值和大小被去掉，所以梯度失去沿这两个方向的部分。", relu: "输入为正处梯度通过，其余不通过。", gelu: "梯度乘以曲线的斜率。", silu: "梯度乘以曲线的斜率。", cross_entropy: "每个 logit 的梯度是给出的概率减去目标概率。",
  reshape: "同样的数字，另一种形状。", permute: "同样的数字，另一种顺序；梯度按相反的顺序回去。", param: "参数：优化器将要改变的东西。", constant: "数据：不需要梯度。",
};

CHECKS.zh = {
  differences: "f64 有限差分，带随机符号的余切向量", adjoint: "用对偶数验证 ⟨u, J·v⟩ = ⟨Jᵀu, v⟩，精确到 1e-12", twin: "融合操作与由小操作组成的同一计算对照", model: "整个 Transformer 的有限差分", dependence: "掩码所遮蔽者的雅可比严格为零", invariance: "增加填充不改变任何结果", stop: "梯度不流过 detach",
  "non-zero": "（常见）反向传播之后每个输入都有不全为零的梯度", sum: "（常见）对 y.sum() 求有限差分，六位数字", f32: "（常见）f32 有限差分，精度 1e-2", falls: "（常见）几步梯度下降后损失变小",
};

TOUR.zh = [
  ["计算记录（tape）", "一次前向过程的记录：每个节点一条，按执行顺序排列。向上的条表示值的大小，颜色表示操作，见下方图例。用方向键或滑块单步前进；每个数字都属于顶部的句子。"],
  ["反过来走", "反向传播以相反的顺序访问同样的节点。从损失处的梯度 1 开始，对每个节点问：这个值若改变，损失会改变多少？梯度加完之后，向下的条出现。"],
  ["一个节点，一条规则", "节点只懂一条规则：拿到输出的梯度，加到各输入的梯度上。这里是投影到 logits 的节点：点击下面任意一格看算式，看它由哪些行和列组成。"],
  ["注意力第一步：dV", "在注意力实验台，反向传播从右往左读。O = {A}·V，所以每个值得到各输出的梯度，按各自看它的程度加权：dV = {A}ᵀ·dO。表中是其中一个和，图上的黄框标出了数字所在。"],
  ["第二步：d{A}", "另一个因子：每个权重应当怎样改变。d{A} = dO·Vᵀ：若某个值指向输出想去的方向，它的权重就应当增大。{dropped}"],
  ["第三步：dS，错误最多的地方", "一行的权重之和为一，所以互相竞争。dS = A∘(dA − rowsum(A∘dA))：减去全行的加权平均，dS 每行之和为零。标出的这一行用这些数字当场核对。本视图末尾有小测验。"],
  ["第四步：dP，然后 dQ 与 dK", "S = P/√d，P = Q·Kᵀ。所以 dP = dS/√d；查询被拉向分数应当升高的键：dQ = dP·K；键被拉向应当看它的查询：dK = dPᵀ·Q。dP 里漏了系数，两者就都错了。"],
  ["为什么是 √d", "这里关掉了缩放。分数变大，softmax 只认一个键，熵下降，经过它的梯度大小也变了：比较表中各行。常见的错误 √D 缩得太小，权重趋于相同。"],
  ["扇出：梯度相加", "被多次读取的值从每个读者各得一份梯度，这里的读者是：{ways}。依次显示前一项、前两项、全部之和。丢掉其中一项是个不会报错的错误。"],
  ["LayerNorm 的三项", "前向去掉了一行的均值和大小，所以梯度必须失去沿这两个方向的部分。漏掉一项，训练照样进行，只是差一点，所以这个错误能活很久。这里的和就是由这些数字算的。"],
  ["一个植入的错误", "这是缺了行和的 softmax。卡片是红的，计算记录上的斜纹显示错误梯度传了多远，实验台里 dS 每行之和不再为零。损失与之前完全相同，训练中也仍会下降。列表说明哪些常见检查发现不了它。"],
  ["严格的零", "掩码正确，是指被遮蔽之处完全没有梯度流过。不是小，是零。每行是一个词元的损失；后面的词元和填充得到的严格为零。导览到此结束：现在一切都可以点开看。"],
];

//! Weaves the mutants of one file into its text, so that one build holds them all and a number
//! chooses which of them is alive.
//!
//! Each edit puts an expression in place that asks `crate::woven::is(N)`; edits nest, and lines
//! stay where they are.

use std::ops::Range;

use proc_macro2::{LineColumn, Span};
use syn::spanned::Spanned as _;
use syn::visit::{self, Visit};
use syn::{Arm, BinOp, Block, Expr, ExprBinary, ExprRepeat, ExprUnary, UnOp};

use crate::list::Mutant;

/// A piece of the new text: written out, or taken from the file with the edits inside it.
enum Piece {
    Text(String),
    Source(Range<usize>),
}

struct Edit {
    range: Range<usize>,
    pieces: Vec<Piece>,
    /// Whose edit it is, to tell which mutant does not compile.
    mutants: Vec<usize>,
}

/// The new text.
pub struct Woven {
    pub text: String,
    /// Where the edits of which mutants stand in it.
    pub places: Vec<(Range<usize>, Vec<usize>)>,
    /// Mutants for which there is no place, such as those in constants.
    pub left: Vec<usize>,
    /// `||` in a chain with `let`, which is no Rust.
    pub unviable: Vec<usize>,
}

/// Weaves `mutants`, all of one file, into its text. Functions of the names in `constant` stay
/// `const` as they are.
pub fn weave(text: &str, mutants: &[&Mutant], constant: &[String]) -> Result<Woven, String> {
    let file = syn::parse_file(text).map_err(|error| error.to_string())?;
    let mut lines = vec![0];
    lines.extend(text.match_indices('\n').map(|(at, _)| at + 1));
    let (edits, woven, unviable) = (vec![], vec![], vec![]);
    let mut weaver = Weaver { text, lines, mutants, constant, edits, woven, unviable };
    weaver.visit_file(&file);
    let Weaver { mut edits, woven, unviable, .. } = weaver;
    let is_left = |n: &usize| !woven.contains(n) && !unviable.contains(n);
    let left = mutants.iter().map(|m| m.number).filter(is_left).collect();
    // Stable: where several start, the outer one was found first.
    edits.sort_by_key(|edit| edit.range.start);
    let (mut out, mut places) = (String::new(), vec![]);
    render(text, &edits, 0, 0..text.len(), &mut out, &mut places);
    Ok(Woven { text: out, places, left, unviable })
}

/// Writes a range of the file with those of the edits from number `from` on that lie in it.
fn render(
    text: &str,
    edits: &[Edit],
    from: usize,
    range: Range<usize>,
    out: &mut String,
    places: &mut Vec<(Range<usize>, Vec<usize>)>,
) {
    let mut at = range.start;
    for (number, edit) in edits.iter().enumerate().skip(from) {
        if edit.range.start < at || edit.range.end > range.end {
            continue;
        }
        out.push_str(&text[at..edit.range.start]);
        let start = out.len();
        for piece in &edit.pieces {
            match piece {
                Piece::Text(written) => out.push_str(written),
                Piece::Source(inner) => {
                    render(text, edits, number + 1, inner.clone(), out, places);
                }
            }
        }
        places.push((start..out.len(), edit.mutants.clone()));
        at = edit.range.end;
    }
    out.push_str(&text[at..range.end]);
}

struct Weaver<'a> {
    text: &'a str,
    /// Where each line starts.
    lines: Vec<usize>,
    mutants: &'a [&'a Mutant],
    constant: &'a [String],
    edits: Vec<Edit>,
    woven: Vec<usize>,
    unviable: Vec<usize>,
}

fn is(number: usize) -> String {
    format!("crate::woven::is({number})")
}

impl Weaver<'_> {
    fn offset(&self, at: LineColumn) -> usize {
        let line = self.lines[at.line - 1];
        let columns = self.text[line..].char_indices().nth(at.column);
        columns.map_or(self.text.len(), |(bytes, _)| line + bytes)
    }

    fn range(&self, span: Span) -> Range<usize> {
        self.offset(span.start())..self.offset(span.end())
    }

    /// The mutants of a genre that start there.
    fn at(&self, genre: &str, span: Span) -> Vec<(usize, String)> {
        let start = (span.start().line, span.start().column + 1);
        let there = self.mutants.iter().filter(|m| m.genre == genre && m.start == start);
        there.map(|m| (m.number, m.replacement.clone())).collect()
    }

    fn edit(&mut self, range: Range<usize>, pieces: Vec<Piece>, mutants: Vec<usize>) {
        self.woven.extend(&mutants);
        self.edits.push(Edit { range, pieces, mutants });
    }

    /// `(if is(1) { … } else if is(2) { … } else { … })`, the last without a mutant.
    fn choice(&mut self, range: Range<usize>, ways: Vec<(usize, Vec<Piece>)>, usual: Vec<Piece>) {
        let mut pieces = vec![Piece::Text("(".into())];
        let mutants = ways.iter().map(|(number, _)| *number).collect();
        for (number, way) in ways {
            pieces.push(Piece::Text(format!("if {} {{ ", is(number))));
            pieces.extend(way);
            pieces.push(Piece::Text(" } else ".into()));
        }
        pieces.push(Piece::Text("{ ".into()));
        pieces.extend(usual);
        pieces.push(Piece::Text(" })".into()));
        self.edit(range, pieces, mutants);
    }

    fn binary(&mut self, node: &ExprBinary, mutants: Vec<(usize, String)>) {
        let (left, right) = (self.range(node.left.span()), self.range(node.right.span()));
        let whole = left.start..right.end;
        let operator = self.text[self.range(node.op.span())].to_owned();
        if matches!(node.op, BinOp::And(_) | BinOp::Or(_)) && mutants.len() == 1 {
            // Neither operand is written twice, as chains of these are long.
            let ask = if matches!(node.op, BinOp::And(_)) { "!=" } else { "==" };
            let number = mutants[0].0;
            let pieces = vec![
                Piece::Text("({ let l: bool = ".into()),
                Piece::Source(left),
                Piece::Text(format!("; if {} {ask} l {{ ", is(number))),
                Piece::Source(right),
                Piece::Text(" } else { l } })".into()),
            ];
            return self.edit(whole, pieces, vec![number]);
        }
        let assigns = operator.ends_with('=') && !["==", "!=", "<=", ">="].contains(&&*operator);
        let with = |operator: &str| {
            let (open, middle) = if assigns {
                (String::new(), format!(" {operator} ("))
            } else {
                ("(".to_owned(), format!(") {operator} ("))
            };
            vec![
                Piece::Text(open),
                Piece::Source(left.clone()),
                Piece::Text(middle),
                Piece::Source(right.clone()),
                Piece::Text(")".into()),
            ]
        };
        let ways = mutants.iter().map(|(number, other)| (*number, with(other))).collect();
        self.choice(whole, ways, with(&operator));
    }

    fn body(&mut self, signature: &syn::Signature, block: &Block) {
        let Some(first) = block.stmts.first() else { return };
        // A hidden type is one type: a second `return` of another one is no Rust.
        if let syn::ReturnType::Type(_, kind) = &signature.output
            && matches!(**kind, syn::Type::ImplTrait(_))
        {
            return;
        }
        let at = self.offset(block.brace_token.span.open().end());
        for (number, value) in self.at("FnValue", first.span()) {
            let text = format!(" if {} {{ return {value}; }}", is(number));
            self.edit(at..at, vec![Piece::Text(text)], vec![number]);
        }
    }

    /// A `const fn` cannot ask.
    fn signature(&mut self, signature: &syn::Signature) {
        if let Some(token) = &signature.constness
            && !self.constant.contains(&signature.ident.to_string())
        {
            let range = self.range(token.span);
            self.edit(range, vec![], vec![]);
        }
    }

    fn stays_constant(&self, signature: &syn::Signature) -> bool {
        signature.constness.is_some() && self.constant.contains(&signature.ident.to_string())
    }
}

/// Whether a condition binds names.
fn has_let(expr: &Expr) -> bool {
    match expr {
        Expr::Let(_) => true,
        Expr::Binary(node) => has_let(&node.left) || has_let(&node.right),
        _ => false,
    }
}

impl<'ast> Visit<'ast> for Weaver<'_> {
    fn visit_item_fn(&mut self, node: &'ast syn::ItemFn) {
        if !self.stays_constant(&node.sig) {
            self.signature(&node.sig);
            self.body(&node.sig, &node.block);
            visit::visit_item_fn(self, node);
        }
    }

    fn visit_impl_item_fn(&mut self, node: &'ast syn::ImplItemFn) {
        if !self.stays_constant(&node.sig) {
            self.signature(&node.sig);
            self.body(&node.sig, &node.block);
            visit::visit_impl_item_fn(self, node);
        }
    }

    fn visit_trait_item_fn(&mut self, node: &'ast syn::TraitItemFn) {
        if let Some(block) = &node.default {
            self.body(&node.sig, block);
        }
        visit::visit_trait_item_fn(self, node);
    }

    // Constants are computed before anybody can ask.
    fn visit_item_const(&mut self, _: &'ast syn::ItemConst) {}
    fn visit_item_static(&mut self, _: &'ast syn::ItemStatic) {}
    fn visit_impl_item_const(&mut self, _: &'ast syn::ImplItemConst) {}
    fn visit_type_array(&mut self, _: &'ast syn::TypeArray) {}
    fn visit_pat(&mut self, _: &'ast syn::Pat) {}

    fn visit_expr_repeat(&mut self, node: &'ast ExprRepeat) {
        self.visit_expr(&node.expr);
    }

    fn visit_arm(&mut self, node: &'ast Arm) {
        let gone = self.at("MatchArm", node.span());
        let gone: String = gone
            .iter()
            .map(|(number, _)| *number)
            .next()
            .map(|number| {
                self.woven.push(number);
                format!("!{} && ", is(number))
            })
            .unwrap_or_default();
        let deleted = self.woven.last().copied().filter(|_| !gone.is_empty());
        match &node.guard {
            Some((_, guard)) if !has_let(guard) => {
                let mut mutants: Vec<usize> = deleted.into_iter().collect();
                let (mut yes, mut no) = (String::new(), String::new());
                for (number, value) in self.at("MatchArmGuard", guard.span()) {
                    mutants.push(number);
                    match value.as_str() {
                        "true" => yes = format!(" || {}", is(number)),
                        _ => no = format!(" && !{}", is(number)),
                    }
                }
                if !mutants.is_empty() {
                    let range = self.range(guard.span());
                    let pieces = vec![
                        Piece::Text(format!("{gone}((")),
                        Piece::Source(range.clone()),
                        Piece::Text(format!("){yes}){no}")),
                    ];
                    self.edit(range, pieces, mutants);
                }
            }
            Some(_) => {}
            None => {
                if let Some(number) = deleted {
                    let at = self.range(node.pat.span()).end;
                    let text = format!(" if {}", gone.trim_end_matches(" && "));
                    self.edit(at..at, vec![Piece::Text(text)], vec![number]);
                }
            }
        }
        visit::visit_arm(self, node);
    }

    fn visit_expr_binary(&mut self, node: &'ast ExprBinary) {
        let mutants = self.at("BinaryOperator", node.op.span());
        if has_let(&node.left) || has_let(&node.right) {
            self.unviable.extend(mutants.iter().map(|(number, _)| number));
        } else if !mutants.is_empty() {
            self.binary(node, mutants);
        }
        visit::visit_expr_binary(self, node);
    }

    fn visit_expr_unary(&mut self, node: &'ast ExprUnary) {
        let mutants = self.at("UnaryOperator", node.op.span());
        if let (UnOp::Not(_) | UnOp::Neg(_), Some((number, _))) = (&node.op, mutants.first()) {
            let operand = self.range(node.expr.span());
            let whole = self.offset(node.op.span().start())..operand.end;
            let operator = self.text[self.range(node.op.span())].to_owned();
            let plain = vec![Piece::Source(operand.clone())];
            let usual = vec![
                Piece::Text(format!("{operator}(")),
                Piece::Source(operand),
                Piece::Text(")".into()),
            ];
            self.choice(whole, vec![(*number, plain)], usual);
        }
        visit::visit_expr_unary(self, node);
    }
}

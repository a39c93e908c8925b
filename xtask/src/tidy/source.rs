//! One Rust file, as far as the rules look at it.

use proc_macro2::{TokenStream, TokenTree};
use syn::spanned::Spanned;
use syn::visit::{self, Visit};

/// A file that was parsed.
pub(super) struct Source {
    /// How many lines it has without its test modules.
    pub(super) lines: usize,
    /// Its functions outside tests.
    pub(super) functions: Vec<Function>,
    /// Every `mod` item.
    pub(super) modules: Vec<Named>,
    /// Every macro call outside tests, by its path.
    pub(super) macros: Vec<Named>,
    /// Every path written outside tests (`a::b::c`), `use` trees spelled out.
    pub(super) paths: Vec<Named>,
}

/// A name and where it stands.
pub(super) struct Named {
    pub(super) name: String,
    pub(super) line: usize,
}

/// A function and its length from its first word to its last brace.
pub(super) struct Function {
    pub(super) name: String,
    pub(super) line: usize,
    pub(super) lines: usize,
}

impl Source {
    pub(super) fn parse(text: &str) -> syn::Result<Source> {
        let file = syn::parse_file(text)?;
        let mut reader = Reader::default();
        if is_test(&file.attrs) {
            reader.test_lines = text.lines().count();
        } else {
            reader.visit_file(&file);
        }
        Ok(Source {
            lines: text.lines().count().saturating_sub(reader.test_lines),
            functions: reader.functions,
            modules: reader.modules,
            macros: reader.macros,
            paths: reader.paths,
        })
    }
}

#[derive(Default)]
struct Reader {
    test_lines: usize,
    functions: Vec<Function>,
    modules: Vec<Named>,
    macros: Vec<Named>,
    paths: Vec<Named>,
}

impl Reader {
    fn function(&mut self, signature: &syn::Signature, block: &syn::Block) {
        let line = signature.span().start().line;
        let lines = block.span().end().line + 1 - line;
        self.functions.push(Function {
            name: signature.ident.to_string(),
            line,
            lines,
        });
    }

    fn use_tree(&mut self, prefix: &str, tree: &syn::UseTree) {
        let line = tree.span().start().line;
        let join = |name: &dyn std::fmt::Display| {
            if prefix.is_empty() {
                name.to_string()
            } else {
                format!("{prefix}::{name}")
            }
        };
        match tree {
            syn::UseTree::Path(path) => self.use_tree(&join(&path.ident), &path.tree),
            syn::UseTree::Name(name) => self.paths.push(Named {
                name: join(&name.ident),
                line,
            }),
            syn::UseTree::Rename(rename) => self.paths.push(Named {
                name: join(&rename.ident),
                line,
            }),
            syn::UseTree::Glob(_) => self.paths.push(Named { name: join(&"*"), line }),
            syn::UseTree::Group(group) => group.items.iter().for_each(|item| self.use_tree(prefix, item)),
        }
    }

    /// A macro's tokens are not syntax, so paths in them are found by their shape.
    fn tokens(&mut self, tokens: TokenStream) {
        let mut path = String::new();
        let mut line = 0;
        for tree in tokens {
            match tree {
                TokenTree::Ident(ident) => {
                    if !path.ends_with("::") {
                        self.flush(&mut path, line);
                        line = ident.span().start().line;
                    }
                    path.push_str(&ident.to_string());
                }
                TokenTree::Punct(punct) if punct.as_char() == ':' && !path.is_empty() => {
                    path.push(':');
                }
                TokenTree::Group(group) => {
                    self.flush(&mut path, line);
                    self.tokens(group.stream());
                }
                TokenTree::Punct(_) | TokenTree::Literal(_) => self.flush(&mut path, line),
            }
        }
        self.flush(&mut path, line);
    }

    fn flush(&mut self, path: &mut String, line: usize) {
        if path.contains("::") {
            self.paths.push(Named {
                name: path.clone(),
                line,
            });
        }
        path.clear();
    }
}

impl<'ast> Visit<'ast> for Reader {
    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        self.modules.push(Named {
            name: item.ident.to_string(),
            line: item.span().start().line,
        });
        if is_test(&item.attrs) {
            self.test_lines += item.span().end().line + 1 - item.span().start().line;
            return;
        }
        visit::visit_item_mod(self, item);
    }

    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        if is_test(&item.attrs) {
            return;
        }
        self.function(&item.sig, &item.block);
        visit::visit_item_fn(self, item);
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        self.function(&item.sig, &item.block);
        visit::visit_impl_item_fn(self, item);
    }

    fn visit_trait_item_fn(&mut self, item: &'ast syn::TraitItemFn) {
        if let Some(block) = &item.default {
            self.function(&item.sig, block);
        }
        visit::visit_trait_item_fn(self, item);
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        self.use_tree("", &item.tree);
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        self.paths.push(Named {
            name: spelled(path),
            line: path.span().start().line,
        });
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, call: &'ast syn::Macro) {
        self.macros.push(Named {
            name: spelled(&call.path),
            line: call.span().start().line,
        });
        self.tokens(call.tokens.clone());
        visit::visit_macro(self, call);
    }
}

fn spelled(path: &syn::Path) -> String {
    let names = path.segments.iter().map(|segment| segment.ident.to_string());
    names.collect::<Vec<_>>().join("::")
}

/// Whether an item exists for tests only: `#[test]`, `#[tokio::test]`, `#[cfg(test)]`.
fn is_test(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        let last = attribute
            .path()
            .segments
            .last()
            .map(|segment| segment.ident.to_string());
        match last.as_deref() {
            Some("test") => true,
            Some("cfg") => attribute
                .parse_args::<syn::Path>()
                .is_ok_and(|path| path.is_ident("test")),
            Some(_) | None => false,
        }
    })
}

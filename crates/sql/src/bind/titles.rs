//! The names that the server gives to result columns without an alias.

use pg_raw_parse::{Node, nodes};
use smol_str::SmolStr;

use super::strings;

/// The name that the server gives a result column (`FigureColname` in `parse_target.c`). Each node is looked at
/// once, and no deeper than the expression was bound.
pub(crate) fn column_name(node: Node<'_>) -> SmolStr {
    title(node).0
}

/// A name, and whether it is none that would count for more than a type's.
fn title(node: Node<'_>) -> (SmolStr, bool) {
    // a name from below wins over the type's, a type's from below does not
    let over = |arg: Node<'_>, own: &str| match title(arg) {
        (_, true) => (SmolStr::new(own), true),
        strong => strong,
    };
    match node {
        Node::TypeCast(c) => {
            let name = c.type_name().and_then(|t| t.names().iter().next_back()?.sval());
            over(c.arg(), name.unwrap_or("?column?"))
        }
        Node::CaseExpr(c) => over(c.defresult(), "case"),
        Node::CollateClause(c) => title(c.arg()),
        Node::A_Indirection(i) if strings(i.indirection()).is_empty() => title(i.arg()),
        other => {
            let name = own_name(other);
            let weak = name == "?column?";
            (name, weak)
        }
    }
}

fn own_name(node: Node<'_>) -> SmolStr {
    use nodes::SQLValueFunctionOp as V;
    let name = match node {
        Node::ColumnRef(c) => strings(c.fields()).last().copied().unwrap_or("?column?"),
        Node::A_Indirection(i) => strings(i.indirection()).last().copied().unwrap_or("?column?"),
        Node::FuncCall(f) => strings(f.funcname()).last().copied().unwrap_or("?column?"),
        Node::A_Expr(e) if e.kind == nodes::A_Expr_Kind::AEXPR_NULLIF => "nullif",
        Node::SubLink(s) => return sublink_name(s),
        Node::A_ArrayExpr(_) => "array",
        Node::RowExpr(_) => "row",
        Node::CoalesceExpr(_) => "coalesce",
        Node::MinMaxExpr(m) if m.op == nodes::MinMaxOp::IS_GREATEST => "greatest",
        Node::MinMaxExpr(_) => "least",
        Node::GroupingFunc(_) => "grouping",
        Node::XmlSerialize(_) => "xmlserialize",
        Node::XmlExpr(x) => match x.op {
            nodes::XmlExprOp::IS_XMLCONCAT => "xmlconcat",
            nodes::XmlExprOp::IS_XMLELEMENT => "xmlelement",
            nodes::XmlExprOp::IS_XMLFOREST => "xmlforest",
            nodes::XmlExprOp::IS_XMLPARSE => "xmlparse",
            nodes::XmlExprOp::IS_XMLPI => "xmlpi",
            nodes::XmlExprOp::IS_XMLROOT => "xmlroot",
            _ => "?column?",
        },
        Node::JsonParseExpr(_) => "json",
        Node::JsonScalarExpr(_) => "json_scalar",
        Node::JsonSerializeExpr(_) => "json_serialize",
        Node::JsonObjectConstructor(_) => "json_object",
        Node::JsonArrayConstructor(_) | Node::JsonArrayQueryConstructor(_) => "json_array",
        Node::JsonObjectAgg(_) => "json_objectagg",
        Node::JsonArrayAgg(_) => "json_arrayagg",
        Node::JsonFuncExpr(f) => match f.op {
            nodes::JsonExprOp::JSON_EXISTS_OP => "json_exists",
            nodes::JsonExprOp::JSON_QUERY_OP => "json_query",
            _ => "json_value",
        },
        Node::MergeSupportFunc(_) => "merge_action",
        Node::SQLValueFunction(v) => match v.op {
            V::SVFOP_CURRENT_DATE => "current_date",
            V::SVFOP_CURRENT_TIME | V::SVFOP_CURRENT_TIME_N => "current_time",
            V::SVFOP_CURRENT_TIMESTAMP | V::SVFOP_CURRENT_TIMESTAMP_N => "current_timestamp",
            V::SVFOP_LOCALTIME | V::SVFOP_LOCALTIME_N => "localtime",
            V::SVFOP_LOCALTIMESTAMP | V::SVFOP_LOCALTIMESTAMP_N => "localtimestamp",
            V::SVFOP_CURRENT_ROLE => "current_role",
            V::SVFOP_CURRENT_USER => "current_user",
            V::SVFOP_USER => "user",
            V::SVFOP_SESSION_USER => "session_user",
            V::SVFOP_CURRENT_CATALOG => "current_catalog",
            _ => "current_schema",
        },
        _ => "?column?",
    };
    SmolStr::new(name)
}

fn sublink_name(link: &nodes::SubLink) -> SmolStr {
    use nodes::SubLinkType as T;
    match link.sub_link_type {
        T::EXISTS_SUBLINK => SmolStr::new_static("exists"),
        T::ARRAY_SUBLINK => SmolStr::new_static("array"),
        T::EXPR_SUBLINK => match link.subselect() {
            Node::SelectStmt(s) => {
                let mut first = s;
                while let Some(left) = first.larg() {
                    first = left;
                }
                match first.target_list().first() {
                    Some(target) => target.name().map_or_else(|| column_name(target.val()), SmolStr::new),
                    None => SmolStr::new_static("column1"),
                }
            }
            _ => SmolStr::new_static("?column?"),
        },
        _ => SmolStr::new_static("?column?"),
    }
}

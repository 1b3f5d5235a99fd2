//! Makes `vae(…) OVER (…)` a struct: puts the function that unpacks verdicts around the window function that gives them.

use std::{path, sync::Arc};

use datafusion::{
    common::{DFSchema, Result, ScalarValue},
    functions::core::expr_fn::get_field,
    logical_expr::{
        Expr, GetFieldAccess, ScalarUDF,
        expr::{ScalarFunction, WindowFunction, WindowFunctionParams},
        lit,
        planner::{ExprPlanner, PlannerResult, RawFieldAccessExpr, RawWindowExpr},
    },
};

use crate::function::{NAME, verdicts::unpack};

/// Plans calls of the window function.
#[derive(Debug)]
pub(super) struct Planner {
    unpack: Arc<ScalarUDF>,
}

impl Planner {
    pub(super) fn new() -> Self {
        Self { unpack: Arc::new(unpack()) }
    }
}

impl ExprPlanner for Planner {
    /// `judged['score']`, which the engine itself plans only together with its functions of lists.
    fn plan_field_access(&self, raw: RawFieldAccessExpr, _: &DFSchema) -> Result<PlannerResult<RawFieldAccessExpr>> {
        match raw {
            RawFieldAccessExpr { field_access: GetFieldAccess::NamedStructField { name }, expr } => {
                Ok(PlannerResult::Planned(get_field(expr, name)))
            }
            other => Ok(PlannerResult::Original(other)),
        }
    }

    fn plan_window(&self, raw: RawWindowExpr) -> Result<PlannerResult<RawWindowExpr>> {
        let Some(Expr::Literal(ScalarValue::Utf8(Some(path)) | ScalarValue::Utf8View(Some(path)), _)) =
            raw.args.first()
        else {
            // The function itself says what it needs.
            return Ok(PlannerResult::Original(raw));
        };
        if raw.func_def.name() != NAME {
            return Ok(PlannerResult::Original(raw));
        }
        let model = lit(whole(path));
        let names: Vec<String> = raw.args.iter().map(ToString::to_string).collect();
        let RawWindowExpr {
            func_def,
            mut args,
            partition_by,
            order_by,
            window_frame,
            filter,
            null_treatment,
            distinct,
        } = raw;
        if let Some(path) = args.first_mut() {
            *path = model.clone();
        }
        let params =
            WindowFunctionParams { args, partition_by, order_by, window_frame, filter, null_treatment, distinct };
        let packed = Expr::WindowFunction(Box::new(WindowFunction { fun: func_def, params }));
        let unpacked = ScalarFunction::new_udf(Arc::clone(&self.unpack), vec![model, packed]);
        Ok(PlannerResult::Planned(Expr::ScalarFunction(unpacked).alias(format!("{NAME}({})", names.join(",")))))
    }
}

/// The whole path of a file that is there: executors of a cluster work in other folders.
fn whole(path: &str) -> String {
    let absolute = path::absolute(path).ok().filter(|absolute| absolute.is_file());
    absolute.and_then(|absolute| absolute.into_os_string().into_string().ok()).unwrap_or_else(|| path.to_owned())
}

//! What the benches share: what is measured (`cases`), how instructions are counted
//! (`callgrind`), and the figures, their goals and what was committed (`figures`).

pub mod callgrind;
pub mod cases;
pub mod figures;
#[path = "../../tests/it/shapes.rs"]
pub mod shapes;
pub mod work;

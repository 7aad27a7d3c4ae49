/// tbd
#[derive(Clone, Debug)]
pub struct Checkpointer;

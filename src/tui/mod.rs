//! The screen: a face on the workbench that computes nothing. STUB.

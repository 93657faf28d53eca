//! A walk over an encoded data set that trusts nothing: no recursion, no allocation of a declared length,
//! depth and element count bounded. It finds where elements lie; it does not interpret values.
//! (PS3.5 section 7, Annex A.)

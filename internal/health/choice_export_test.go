package health

// ChoiceInputs are what the choice of a source is made from, for tests that only see the package from outside.
var ChoiceInputs = inputs

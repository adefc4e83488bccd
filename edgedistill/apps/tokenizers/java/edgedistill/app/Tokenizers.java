package edgedistill.app;
final class Tokenizers { static TextEncoder open(ModelFiles files) { throw new ModelException("later"); } }

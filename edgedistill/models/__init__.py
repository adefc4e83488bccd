"""Teachers and students: building, loading, looking inside, and the views of them that export."""

import logging

# torchao, where another package brought it along, reports at import time on kernels that nothing here uses.
for _noisy in ("torchao", "torch.utils._pytree"):
    logging.getLogger(_noisy).setLevel(logging.ERROR)

"""Python asked behind the page: what the kernel of an open notebook says."""

ASK = """async code => {
  const {kernel} = window.jupyterapp.shell.currentWidget.sessionContext.session;
  const future = kernel.requestExecute({code, store_history: false});
  const said = {text: "", error: null};
  future.onIOPub = ({header, content}) => {
    if (header.msg_type === "stream") said.text += content.text;
    if (header.msg_type === "error") said.error = `${content.ename}: ${content.evalue}`;
  };
  await future.done;
  return said;
}"""


def ask_kernel(page, code):
    """Run code in the kernel of the notebook that is open; return what it prints."""
    said = page.evaluate(ASK, code)
    assert said["error"] is None, f"{code}: {said['error']}"
    return said["text"]

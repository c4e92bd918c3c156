// A warning stands before the text: Enter or the space bar shows it, the key for skipping skips.

const skip = document.getElementById("skip");
addEventListener("keydown", (event) => {
  if (event.repeat || event.ctrlKey || event.metaKey || event.altKey || event.target.closest("a, button")) return;
  if (event.key === "Enter" || event.key === " ") document.getElementById("show").click();
  else if (event.key === skip.dataset.key && localStorage.getItem("keys") !== "off") skip.click();
  else return;
  event.preventDefault();
});

// One way on, by Enter.

const go = document.getElementById("go");
addEventListener("keydown", (event) => {
  if (event.key === "Enter" && !event.repeat && !event.target.closest("a, button, input, textarea, summary")) go.click();
});

// What scrolls sideways can be reached by the keyboard, and a button beside a block of code is no landmark of the page.
addEventListener("load", () => {
  for (const block of document.querySelectorAll("pre > code, .md-typeset__scrollwrap")) {
    if (block.scrollWidth > block.clientWidth) block.tabIndex = 0;
  }
  for (const buttons of document.querySelectorAll(".md-code__nav")) buttons.role = "none";
});

// What somebody types to order responses ("2 1 = 3"), read as the server reads it: numbers from 1 or letters, best first, `=` between
// those that are equally good; blanks, commas and `>` between tiers may be left out.

const LETTERS = "ABCDEFGHI";

export const letter = (place) => LETTERS[place];

export const numbered = (places) => {
  const numbers = places.map((place) => place + 1);
  const last = numbers.pop();
  return numbers.length ? `Responses ${numbers.join(", ")} and ${last}` : `Response ${last}`;
};

// {tiers: places by tier, best first; left: places not named; open: a sign at the end waits for a response; fault: what is wrong}
export function parse(text, k) {
  const tiers = [];
  let between = "";
  let fault = "";
  for (const sign of text.toUpperCase().replace(/\s/g, "")) {
    if ("=>,".includes(sign)) {
      if (between || !tiers.length) fault ||= `The order has a '${sign}' without a response before it.`;
      between = sign;
      continue;
    }
    const place = LETTERS.includes(sign) ? LETTERS.indexOf(sign) : "123456789".indexOf(sign);
    if (place < 0 || place >= k) {
      fault ||= `There is no response '${sign.toLowerCase()}'; type numbers from 1 to ${k}, best first: 2 1 = 3.`;
      continue;
    }
    if (tiers.flat().includes(place)) {
      fault ||= `${numbered([place])} stands in the order twice.`;
      continue;
    }
    if (between === "=" && tiers.length) tiers.at(-1).push(place);
    else tiers.push([place]);
    between = "";
  }
  const left = [...Array(k).keys()].filter((place) => !tiers.flat().includes(place));
  return { tiers, left, open: between, fault };
}

// "B over A = C over D"
export const say = (tiers) => tiers.map((tier) => tier.map(letter).sort().join(" = ")).join(" over ");

// Tiers as the field holds them: "2 1 = 3"
export const write = (tiers) => tiers.map((tier) => tier.map((place) => place + 1).join(" = ")).join(" ");

const without = (tiers, place) => tiers.map((tier) => tier.filter((other) => other !== place)).filter((tier) => tier.length);

// What the field holds after one key more: a digit ranks a response next, or last of a tie after `=`; Backspace takes back.
export function typed(text, key, k) {
  const { tiers, open } = parse(text, k);
  if (key === "Backspace") {
    if (open) return write(tiers);
    const ties = tiers.at(-1)?.length > 1;
    tiers.at(-1)?.pop();
    return write(tiers.filter((tier) => tier.length)) + (ties ? " =" : "");
  }
  if (key === "=") return tiers.length && !open ? `${write(tiers)} =` : text;
  const place = Number(key) - 1;
  if (!(place >= 0 && place < k)) return text;
  const others = without(tiers, place);
  if (open === "=" && others.length) others.at(-1).push(place);
  else others.push([place]);
  return write(others);
}

// The big digit was touched: ranked next, or no longer ranked.
export function touched(text, place, k) {
  const { tiers } = parse(text, k);
  return tiers.flat().includes(place) ? write(without(tiers, place)) : typed(text, String(place + 1), k);
}

// One response one tier up (-1) or down (1): out of a tie first, then past its neighbor.
export function moved(text, place, step, k) {
  const { tiers } = parse(text, k);
  const at = tiers.findIndex((tier) => tier.includes(place));
  if (at < 0) return write([...tiers, [place]]);
  if (tiers[at].length > 1) {
    tiers[at] = tiers[at].filter((other) => other !== place);
    tiers.splice(step < 0 ? at : at + 1, 0, [place]);
  } else if (tiers[at + step]) {
    [tiers[at], tiers[at + step]] = [tiers[at + step], tiers[at]];
  }
  return write(tiers);
}

// One response put before the `index`-th of the others as they stand on the screen; between two that are tied it joins them.
export function placed(text, place, index, k) {
  const rest = without(parse(text, k).tiers, place);
  let before = 0;
  for (let i = 0; i < rest.length; i++) {
    if (index <= before) return write([...rest.slice(0, i), [place], ...rest.slice(i)]);
    if (index < before + rest[i].length) {
      rest[i].push(place);
      return write(rest);
    }
    before += rest[i].length;
  }
  return write([...rest, [place]]);
}

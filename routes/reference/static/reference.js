// Draws /openapi.json with Swagger UI, whose bundle is a plain script that sets one global.

const state = document.getElementById('state')

// Swagger UI's dark colours hang on a class of the root.
const dark = matchMedia('(prefers-color-scheme: dark)')
const colour = () => document.documentElement.classList.toggle('dark-mode', dark.matches)
dark.addEventListener('change', colour)
colour()

function bundle() {
  return new Promise((resolve, reject) => {
    const script = document.createElement('script')
    script.src = '/docs/vendor/swagger-ui-bundle.js'
    script.onload = resolve
    script.onerror = () => reject(new Error('a file of this page could not be loaded'))
    document.head.append(script)
  })
}

async function description() {
  const answer = await fetch('/openapi.json')
  if (!answer.ok) throw new Error(`/openapi.json answered ${answer.status}`)
  const spec = await answer.json()
  // Requests go to where this page came from, which is the only place that its policy lets them go to.
  spec.servers = [{ url: location.origin }]
  return spec
}

// One server is no choice.
const oneServer = () => ({ wrapComponents: { ServersContainer: () => () => null } })

// Names for controls that Swagger UI leaves without one, and a way to scroll examples by keyboard.
const named = [
  ['textarea.body-param__text', () => 'Request body'],
  ['select.examples-select-element', () => 'Example'],
  ['.close-modal', () => 'Close'],
  ['.copy-to-clipboard button', () => 'Copy'],
  ['tr[data-param-name] select, tr[data-param-name] input, tr[data-param-name] textarea', (control) => control.closest('tr').dataset.paramName],
]

function name(root) {
  for (const [selector, word] of named) {
    for (const control of root.querySelectorAll(selector)) {
      if (!control.hasAttribute('aria-label')) control.setAttribute('aria-label', word(control))
    }
  }
  for (const example of root.querySelectorAll('pre.microlight:not([tabindex])')) example.tabIndex = 0
}

function keepNamed(root) {
  new MutationObserver(() => name(root)).observe(root, { childList: true, subtree: true })
}

async function draw() {
  state.hidden = false
  state.textContent = 'Reading the description of the API…'
  try {
    const [spec] = await Promise.all([description(), bundle()])
    window.SwaggerUIBundle({
      spec,
      dom_id: '#reference',
      plugins: [oneServer],
      docExpansion: 'list',
      defaultModelsExpandDepth: 0,
      displayRequestDuration: true,
      filter: true,
      persistAuthorization: false,
      syntaxHighlight: false, // its colours are too faint on their ground
      tryItOutEnabled: true,
      validatorUrl: null,
    })
    state.hidden = true
  } catch (error) {
    const again = document.createElement('button')
    again.textContent = 'Try again'
    again.onclick = draw
    state.replaceChildren(`The reference cannot be shown: ${error.message}. `, again)
  }
}

keepNamed(document.getElementById('reference'))
draw()

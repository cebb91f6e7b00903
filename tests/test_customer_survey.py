# This file is licensed under the GPL-3.0-or-later, see the LICENSE file.

import base64
import datetime as dt
import hashlib
import re
import threading
from decimal import Decimal
from unittest.mock import patch

import pytest
from werkzeug.test import Client as Browser

from trytond.model.exceptions import AccessError, DomainValidationError
from trytond.model.modelview import AccessButtonError
from trytond.modules.company.tests import create_company as new_company
from trytond.modules.customer_grading import survey as survey_module
from trytond.modules.customer_grading.exceptions import (
    CareError, SurveyAnswerError)
from trytond.pool import Pool
from trytond.protocols.wrappers import Response
from trytond.tests.test_tryton import DB_NAME
from trytond.transaction import Transaction
from trytond.wsgi import app

from .care import CareTestCase, client, create_file
from .review import employee, get_company, on, with_company

EMAIL = 'buyer@example.com'


class SurveyTestCase(CareTestCase):
    "Test the surveys"

    def create_survey(self, file=None, email=EMAIL, **values):
        pool = Pool()
        Mechanism = pool.get('party.contact_mechanism')
        Survey = pool.get('customer.survey')
        if not file:
            file = create_file()
            if email:
                Mechanism.create([{
                            'party': file.party.id,
                            'type': 'email',
                            'value': email,
                            }])
        with client("Carla"):
            survey, = Survey.create([{
                        'file': file.id,
                        'due_date': dt.date.today(),
                        'employee': employee("Carla").id,
                        **values,
                        }])
        return Survey(survey.id)

    def click(self, survey, *buttons, user="Carla"):
        Survey = Pool().get('customer.survey')
        for button in buttons:
            with client(user):
                getattr(Survey, button)([Survey(survey.id)])
        return Survey(survey.id)

    def fill(self, survey, user="Carla", **values):
        "Fill in the answers by topic"
        Survey = Pool().get('customer.survey')
        to_write = []
        for answer in survey.answers:
            if answer.topic in values and answer.type == 'rating_5':
                to_write += [
                    'write', [answer.id], {'rating': values[answer.topic]}]
        with client(user):
            Survey.write([survey], {
                    'answers': [
                        tuple(to_write[i:i + 3])
                        for i in range(0, len(to_write), 3)]})
        return Survey(survey.id)

    def answer(self, survey, rating=5):
        return self.click(self.fill(survey, **dict.fromkeys([
                        'communication', 'efficiency', 'attitude', 'quality',
                        'delivery'], rating)), 'answer')

    @with_company
    def test_telephone(self):
        "Test answers given by telephone are recorded and then stay"
        pool = Pool()
        Answer = pool.get('customer.survey.answer')
        Survey = pool.get('customer.survey')
        survey = self.click(self.create_survey(means='telephone'), 'ask')
        self.assertEqual(survey.state, 'sent')
        self.assertIsNone(survey.token)
        self.assertEqual(len(survey.answers), 8)
        with self.assertRaises(CareError) as error:
            self.click(survey, 'answer')
        self.assertIn("punctual", str(error.exception))
        survey = self.fill(
            survey, communication=5, efficiency=4, attitude=3, quality=2,
            delivery=1)
        survey = self.click(survey, 'answer')
        self.assertEqual(survey.state, 'answered')
        self.assertEqual(survey.answered_by, employee("Carla"))
        # (100 + 75 + 50 + 2 x 25 + 0) / 6
        self.assertEqual(survey.score, Decimal('45.83'))
        answer = survey.answers[0]
        for values in [{'rating': 1}, {'question': "Better?"}]:
            with client("Carla"), self.assertRaises(AccessError):
                Answer.write([answer], values)
        with client("Carla"), self.assertRaises(AccessError):
            Answer.delete([answer])
        with client("Carla"), self.assertRaises(AccessError):
            Answer.create([{
                        'survey': survey.id, 'question': "?",
                        'topic': 'other', 'type': 'text', 'weight': 1}])
        with client("Carla"), self.assertRaises(AccessError):
            Survey.write([survey], {'score': Decimal(100)})
        with client("Carla"), self.assertRaises(AccessError):
            Survey.delete([survey])
        with self.assertRaises(AccessError):
            Survey.write([survey], {'answered_with': "A script"})

    @with_company
    def test_range(self):
        "Test ratings out of range are refused"
        survey = self.click(self.create_survey(means='telephone'), 'ask')
        for rating in [0, 6, -1]:
            with self.subTest(rating=rating):
                with self.assertRaises(DomainValidationError):
                    self.fill(survey, quality=rating)

    @with_company
    def test_close(self):
        "Test a survey is analysed, with measures"
        pool = Pool()
        Measure = pool.get('customer.survey.measure')
        Survey = pool.get('customer.survey')
        survey = self.click(self.create_survey(means='telephone'), 'ask')
        survey = self.answer(survey, 3)
        with self.assertRaises(CareError):
            self.click(survey, 'close')
        with client("Carla"):
            Survey.write([survey], {
                    'analysis': "Everything could be better",
                    'measures': [('create', [{
                                    'name': "Answer within a day",
                                    'employee': employee("Carl").id,
                                    'due_date': dt.date.today(),
                                    }])],
                    })
        survey = self.click(survey, 'close')
        self.assertEqual(survey.state, 'closed')
        self.assertEqual(survey.score, 50)
        self.assertEqual(survey.closed_on, dt.date.today())
        with client("Carla"), self.assertRaises(AccessError):
            Survey.write([survey], {'analysis': "All is well"})
        with client("Carl"):
            measure, = Measure.search([('mine', '=', True)])
            Measure.do([measure])
        self.assertEqual(Measure(measure.id).state, 'done')

    @with_company
    def test_measure_state(self):
        "Test there are no measures before there are answers"
        Measure = Pool().get('customer.survey.measure')
        survey = self.create_survey(means='telephone')
        for button, state in [(None, "Planned"), ('cancel', "Cancelled")]:
            if button:
                survey = self.click(survey, button)
            with client("Carla"), self.assertRaisesRegex(CareError, state):
                Measure.create([{
                            'survey': survey.id,
                            'name': "Answer within a day",
                            'employee': employee("Carl").id,
                            'due_date': dt.date.today(),
                            }])

    @with_company
    def test_questionnaire(self):
        "Test questionnaires are frozen once they are used"
        pool = Pool()
        Question = pool.get('customer.question')
        Questionnaire = pool.get('customer.questionnaire')
        shipped, = Questionnaire.search([])
        with client("Ada"):
            with self.assertRaises(AccessError):
                Questionnaire.write([shipped], {'name': "Ours"})
            with self.assertRaises(AccessError):
                Question.write(shipped.questions[:1], {'question': "Why?"})
            copy, = Questionnaire.copy([shipped])
            self.assertEqual(copy.company, get_company())
            self.assertEqual(len(copy.questions), 8)
            Questionnaire.write([copy], {'name': "Ours"})
        with client("Carla"), self.assertRaises(AccessError):
            Questionnaire.write([copy], {'name': "Mine"})
        self.create_survey(questionnaire=copy.id)
        for user in ["Ada", None]:
            with self.subTest(user=user):
                with client(user or "Ada"), self.assertRaises(AccessError):
                    Questionnaire.write([copy], {'name': "Others"})
                with client(user or "Ada"), self.assertRaises(AccessError):
                    Question.delete(list(copy.questions[:1]))
        with client("Ada"):
            Questionnaire.write([copy], {'active': False})

    @with_company
    def test_link(self):
        "Test the link is sent in the language of the customer"
        pool = Pool()
        Lang = pool.get('ir.lang')
        Party = pool.get('party.party')
        survey = self.create_survey()
        french, = Lang.search([('code', '=', 'fr')])
        Party.write([survey.party], {'lang': french.id})
        with patch.object(
                survey_module, 'send_message_transactional') as send:
            survey = self.click(survey, 'send')
        message, = send.call_args.args
        self.assertIn(EMAIL, message['To'])
        self.assertEqual(survey.email, EMAIL)
        self.assertEqual(survey.language, 'fr')
        self.assertGreaterEqual(len(survey.token), 43)
        self.assertIn(
            f'/{DB_NAME.replace(":", "%3A")}/customer_grading/survey/'
            f'{survey.token}', message.get_content().replace('\n', ''))
        self.assertEqual(
            survey.valid_until, dt.date.today() + dt.timedelta(days=30))
        former = survey.token
        with patch.object(survey_module, 'send_message_transactional'):
            survey = self.click(survey, 'renew')
        Survey = pool.get('customer.survey')
        self.assertIsNone(Survey.get_public(former))
        self.assertEqual(Survey.get_public(survey.token), survey)
        # The answers of a customer are not typed in by somebody else
        with self.assertRaises(AccessError):
            self.fill(survey, quality=5)
        with self.assertRaises(AccessButtonError):
            self.click(survey, 'answer')

    @with_company
    def test_no_email(self):
        "Test the link is not sent without an address"
        survey = self.create_survey(email=None)
        with self.assertRaises(CareError) as error:
            self.click(survey, 'send')
        self.assertIn("Acme", str(error.exception))
        self.assertEqual(survey.state, 'planned')

    @with_company
    def test_token(self):
        "Test what opens a survey, and who sees it"
        Survey = Pool().get('customer.survey')
        survey = self.click(self.create_survey(), 'ask')
        token = survey.token
        self.assertEqual(Survey.get_public(token), survey)
        for wrong in [
                None, '', 'x', token[:-1], token + 'x', token.swapcase(),
                token + '\0', 'é' * 43, '%', 'x' * 10000]:
            with self.subTest(token=wrong):
                self.assertIsNone(Survey.get_public(wrong))
        with on(survey.valid_until):
            self.assertEqual(Survey.get_public(token), survey)
        with on(survey.valid_until + dt.timedelta(days=1)):
            self.assertIsNone(Survey.get_public(token))
        with client("Carla"):
            self.assertEqual(Survey(survey.id).token, token)
            self.assertIn(token, Survey(survey.id).link)
        with client("Audrey"):
            self.assertEqual(Survey(survey.id).state, 'sent')
            for name in ['token', 'link']:
                with self.assertRaises(AccessError):
                    Survey.read([survey.id], [name])
            with self.assertRaises(AccessError):
                Survey.search([('token', 'like', token[:1] + '%')])
        for user in ["Sven", "Nora"]:
            with client(user), self.assertRaises(AccessError):
                Survey.read([survey.id], ['state'])
        self.click(survey, 'cancel')
        self.assertIsNone(Survey.get_public(token))

    @with_company
    def test_forged(self):
        "Test tokens and scores are not brought along"
        for values in [
                {'token': 'x' * 43}, {'score': Decimal(100)},
                {'state': 'answered'}, {'closed_on': dt.date.today()}]:
            with self.subTest(values=values):
                with self.assertRaises(AccessError):
                    self.create_survey(create_file(), **values)
                Transaction().rollback()

    @with_company
    def test_answer_public(self):
        "Test a link is answered once"
        Survey = Pool().get('customer.survey')
        survey = self.click(self.create_survey(), 'ask')
        token = survey.token
        good = dict.fromkeys(range(1, 6), '4')
        for values, errors in [
                ({}, {1, 2, 3, 4, 5}),
                ({**good, 1: '6'}, {1}),
                ({**good, 1: '0'}, {1}),
                ({**good, 1: '-1'}, {1}),
                ({**good, 1: '4.5'}, {1}),
                ({**good, 1: '٤'}, {1}),
                ({**good, 1: '9' * 1000}, {1}),
                ({**good, 7: '11'}, {7}),
                ({**good, 8: 'x' * 2001}, {8}),
                ({**good, 8: 'x\0'}, {8}),
                ]:
            with self.subTest(errors=errors):
                with self.assertRaises(SurveyAnswerError) as error:
                    Survey.answer_public(token, values)
                self.assertEqual(error.exception.errors.keys(), errors)
        with self.assertRaises(SurveyAnswerError):
            Survey.answer_public(token, good, name='x' * 101)
        self.assertEqual(Survey(survey.id).state, 'sent')
        answered = Survey.answer_public(
            token, {**good, 7: '10', 8: ' <b>Better</b> ', 99: '1'},
            name=" Bea ")
        survey = Survey(answered.id)
        self.assertEqual(survey.state, 'answered')
        self.assertEqual(survey.answered_with, "Bea")
        self.assertIsNone(survey.answered_by)
        self.assertEqual(survey.answers[-1].text, "<b>Better</b>")
        # (6 x 75 + 100) / 7
        self.assertEqual(survey.score, Decimal('78.57'))
        self.assertIsNone(Survey.answer_public(token, good))
        self.assertIsNone(Survey.get_public(token))

    @with_company
    def test_plan(self):
        "Test surveys are planned by cadence"
        pool = Pool()
        Configuration = pool.get('customer.configuration')
        Survey = pool.get('customer.survey')
        file = create_file()
        self.assertEqual(Survey.plan(), [])
        Configuration(1).set_multivalue(
            'survey_interval', 12, company=get_company().id)
        survey, = Survey.plan()
        self.assertEqual(survey.file, file)
        self.assertEqual(survey.means, 'telephone')
        self.assertEqual(Survey.plan(), [])

    @with_company
    def test_analysis(self):
        "Test the answers are analysed by topic and month"
        Analysis = Pool().get('customer.survey.analysis')
        survey = self.click(self.create_survey(means='telephone'), 'ask')
        survey = self.fill(
            survey, communication=5, efficiency=4, attitude=3, quality=2,
            delivery=1)
        survey = self.click(survey, 'answer')
        other = self.click(
            self.create_survey(survey.file, means='telephone'), 'ask')
        self.answer(other, 5)
        company = get_company()
        with client("Carla"), Transaction().set_context(company=company.id):
            scores = {
                a.topic: (a.surveys, a.answers, a.score)
                for a in Analysis.search([])}
            date, = {a.date for a in Analysis.search([])}
            names = {a.rec_name for a in Analysis.search([])}
        self.assertEqual(date, dt.date.today().replace(day=1))
        self.assertIn(f"Communication {date:%Y-%m}", names)
        self.assertEqual(scores, {
                'communication': (2, 2, Decimal(100)),
                'efficiency': (2, 2, Decimal('87.5')),
                'attitude': (2, 2, Decimal(75)),
                'quality': (2, 2, Decimal('62.5')),
                'delivery': (2, 2, Decimal(50)),
                })
        with client("Sven"), self.assertRaises(AccessError):
            Analysis.search([])

    @with_company
    def test_company(self):
        "Test the surveys of other companies are not seen"
        pool = Pool()
        Analysis = pool.get('customer.survey.analysis')
        Answer = pool.get('customer.survey.answer')
        Survey = pool.get('customer.survey')
        company = new_company()
        file = create_file(company=company)
        survey, = Survey.create([{
                    'file': file.id, 'due_date': dt.date.today(),
                    'means': 'telephone', 'employee': None}])
        Survey.ask([survey])
        with client("Carla"):
            self.assertFalse(Survey.search([]))
            self.assertFalse(Answer.search([]))
            for method in [
                    lambda: Survey.read([survey.id], ['score']),
                    lambda: Survey.cancel([survey]),
                    lambda: Answer.read(
                        [survey.answers[0].id], ['rating']),
                    lambda: Answer.write(
                        list(survey.answers[:1]), {'rating': 5}),
                    ]:
                with self.assertRaises(AccessError):
                    method()
            with Transaction().set_context(company=company.id):
                self.assertFalse(Analysis.search([]))


class PageTestCase(CareTestCase):
    "Test the page on which customers answer"

    def setUp(self):
        super().setUp()
        with Transaction().start(DB_NAME, 1):
            pool = Pool()
            Company = pool.get('company.company')
            File = pool.get('customer.file')
            Party = pool.get('party.party')
            Survey = pool.get('customer.survey')
            company, = Company.search([])
            party, = Party.create([{'name': '<Acme & Sons>'}])
            file, = File.create([
                    {'company': company.id, 'party': party.id}])
            survey, = Survey.create([{
                        'file': file.id,
                        'due_date': dt.date.today(),
                        'means': 'link',
                        'employee': None,
                        }])
            Survey.ask([survey])
            self.survey = survey.id
            self.token = Survey(survey.id).token
        self.browser = Browser(app, Response)

    def url(self, token=None):
        return (
            f'/{DB_NAME}/customer_grading/survey/'
            f'{self.token if token is None else token}')

    def read(self):
        with Transaction().start(DB_NAME, 0, readonly=True):
            survey = Pool().get('customer.survey')(self.survey)
            return (
                survey.state, survey.answered_with,
                [a.rating for a in survey.answers])

    def test_page(self):
        "Test the page can be answered"
        response = self.browser.get(self.url())
        self.assertEqual(response.status_code, 200)
        page = response.get_data(as_text=True)
        self.assertTrue(page.startswith('<!DOCTYPE html>'))
        self.assertEqual(page.count('type="radio"'), 6 * 5 + 11)
        self.assertEqual(page.count('<textarea'), 1)
        self.assertNotIn('<script', page)
        self.assertNotIn('http', page)
        self.assertNotIn('Acme', page)
        headers = response.headers
        self.assertEqual(headers['Referrer-Policy'], 'no-referrer')
        self.assertEqual(headers['X-Robots-Tag'], 'noindex, nofollow')
        self.assertEqual(headers['Cache-Control'], 'no-store')
        self.assertIn("default-src 'none'", headers['Content-Security-Policy'])
        self.assertEqual(self.read()[0], 'sent')
        response = self.browser.post(
            self.url(), headers={'Origin': 'null'}, data={
                **{str(i): '5' for i in range(1, 6)}, 'name': "Bea"})
        self.assertEqual(response.status_code, 200)
        self.assertIn("Thank you", response.get_data(as_text=True))
        self.assertEqual(
            self.read(), ('answered', "Bea", [5] * 5 + [None] * 3))

    def test_style(self):
        "Test the style is the one that the policy allows"
        response = self.browser.get(self.url())
        style, = re.findall(
            '<style>(.*?)</style>', response.get_data(as_text=True), re.S)
        digest = base64.b64encode(hashlib.sha256(style.encode()).digest())
        self.assertIn(
            f"style-src 'sha256-{digest.decode()}'",
            response.headers['Content-Security-Policy'])

    def test_escape(self):
        "Test what was sent is shown again as text"
        attack = '"><script>alert(1)</script>'
        response = self.browser.post(self.url(), data={
                '1': attack, '8': attack, 'name': attack})
        self.assertEqual(response.status_code, 400)
        page = response.get_data(as_text=True)
        self.assertNotIn('<script', page)
        self.assertIn('&lt;script&gt;', page)
        self.assertEqual(self.read()[0], 'sent')

    def test_missing(self):
        "Test what was filled in is kept when something is missing"
        response = self.browser.post(self.url(), data={
                '1': '4', '8': "Be quicker"})
        self.assertEqual(response.status_code, 400)
        page = response.get_data(as_text=True)
        self.assertIn("Be quicker", page)
        self.assertEqual(page.count(' checked'), 1)
        self.assertEqual(page.count("Please answer this question."), 4)

    def test_unknown(self):
        "Test all links that open nothing look the same"
        good = {str(i): '5' for i in range(1, 6)}
        pages = {self.browser.get(self.url('x' * 43)).data}
        for token in ['x', self.token[:-1], self.token.swapcase(), '%00']:
            for response in [
                    self.browser.get(self.url(token)),
                    self.browser.post(self.url(token), data=good)]:
                self.assertEqual(response.status_code, 404)
                pages.add(response.data)
        with on(dt.date.today() + dt.timedelta(days=31)):
            pages.add(self.browser.get(self.url()).data)
            pages.add(self.browser.post(self.url(), data=good).data)
        self.assertEqual(self.read()[0], 'sent')
        self.assertEqual(
            self.browser.post(self.url(), data=good).status_code, 200)
        for response in [
                self.browser.get(self.url()),
                self.browser.post(self.url(), data=good)]:
            self.assertEqual(response.status_code, 404)
            pages.add(response.data)
        self.assertEqual(len(pages), 1)

    def test_cancelled(self):
        "Test the link of a cancelled survey is of no use"
        with Transaction().start(DB_NAME, 1):
            Survey = Pool().get('customer.survey')
            Survey.cancel([Survey(self.survey)])
        self.assertEqual(self.browser.get(self.url()).status_code, 404)

    def test_size(self):
        "Test too much is refused"
        response = self.browser.post(
            self.url(), data={'8': 'x' * 300 * 1024})
        self.assertEqual(response.status_code, 413)

    def test_methods(self):
        "Test other methods are refused"
        self.assertEqual(self.browser.put(self.url()).status_code, 405)
        self.assertEqual(
            self.browser.get(
                f'/nothing/customer_grading/survey/{self.token}').status_code,
            404)

    @pytest.mark.postgresql
    def test_at_once(self):
        "Test only one of those who answer at the same moment is heard"
        number = 4
        barrier = threading.Barrier(number)
        statuses = []

        def answer(name):
            browser = Browser(app, Response)
            barrier.wait()
            statuses.append(browser.post(self.url(), data={
                        **{str(i): '5' for i in range(1, 6)},
                        'name': name}).status_code)

        threads = [
            threading.Thread(target=answer, args=[f"Bea {i}"], daemon=True)
            for i in range(number)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        self.assertEqual(len(statuses), number)
        self.assertEqual(statuses.count(200), 1)
        # Who had to wait for too long may try again
        self.assertLessEqual(set(statuses), {200, 404, 503})
        self.assertEqual(self.read()[0], 'answered')
